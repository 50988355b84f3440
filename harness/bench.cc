#include "harness/bench.h"

#include <fmt/format.h>

#include <chrono>
#include <memory>
#include <numeric>
#include <optional>

#include "engine/errors.h"
#include "harness/learner.h"
#include "harness/memory.h"
#include "harness/progress.h"
#include "harness/record_builder.h"
#include "reports/statistics.h"
#include "reports/units.h"
#include "tasks/registry.h"

namespace lra::harness {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kPeakBurst_s = 0.05;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

/// One configuration being measured.
class Candidate {
 public:
  Candidate(const ResolvedConfig& resolved, const BenchOptions& options)
      : options_(options),
        facts_(tasks::task_named(resolved.config.task.name).facts()),
        model_(resolved.config, {.vocab_size = facts_.vocab_size(), .num_classes = facts_.num_classes},
               engine::Dtype::f32,
               resolved.config.train.kernels == Kernels::kPlain ? engine::Kernels::plain : engine::Kernels::fused),
        record_(describe(resolved, model_, options.threads)),
        batch_(static_cast<size_t>(resolved.config.train.batch_size)) {
    std::iota(batch_.begin(), batch_.end(), int64_t{0});
    record_.kind = reports::RunKind::kBench;
    record_.task.split_policy.reset();
    const double forward =
        static_cast<double>(model_.forward_flops(resolved.config.sequence_length)) * static_cast<double>(batch_.size());
    record_.model_flops = {.train_per_step = 3 * forward, .infer_per_step = forward};
    record_.executed_length = {.mean = static_cast<double>(model_.rows_for(resolved.config.sequence_length)),
                               .max = model_.rows_for(resolved.config.sequence_length)};
    record_.speed.batch_size = resolved.config.train.batch_size;
  }

  /// False, with the record saying so, when the configuration does not fit in memory.
  bool prepare() {
    const std::vector<int64_t> lengths = {model_.config().sequence_length};
    const std::vector<int64_t> none;
    const bool train = options_.mode == Mode::train;
    try {
      learner_ = std::make_unique<Learner>(
          model_, LearnerOptions{.threads = options_.threads, .memory_limit_bytes = options_.memory_limit_bytes},
          train ? lengths : none, train ? none : lengths);
      make_examples();
    } catch (const ResourceError& error) {
      learner_.reset();
      record_.status = reports::RunStatus::kDoesNotFit;
      record_.notes.push_back(error.what());
      return false;
    }
    for (int64_t i = 0; i < options_.warmup_steps; ++i) step();
    learner_->phases() = {};
    record_.status = reports::RunStatus::kMeasured;
    return true;
  }

  bool ready() const { return learner_ != nullptr; }
  bool enough() const {
    return static_cast<int64_t>(samples_ms_.size()) >= options_.min_steps && timed_s_ >= options_.min_time_s;
  }
  /// One timed step between two bursts of products.
  void measure() {
    const double peak_before = measure_peak_gflops(learner_->workers(), kPeakBurst_s);
    const Clock::time_point start = Clock::now();
    step();
    const double step_s = seconds_since(start);
    const double peak_after = measure_peak_gflops(learner_->workers(), kPeakBurst_s);
    const double peak = 0.5 * (peak_before + peak_after);
    const double flops =
        options_.mode == Mode::train ? *record_.model_flops.train_per_step : *record_.model_flops.infer_per_step;
    samples_ms_.push_back(step_s * 1e3);
    mfu_.push_back(flops / step_s / (peak * 1e9));
    peaks_.push_back(peak);
    timed_s_ += step_s;
  }

  reports::ResultRecord finish() {
    if (ready() && !enough()) record_.status = reports::RunStatus::kInterrupted;
    if (!ready() || samples_ms_.empty()) return record_;
    const double step_s = reports::median(samples_ms_) * 1e-3;
    const double steps_per_s = 1.0 / step_s, batch = static_cast<double>(batch_.size());
    const double tokens_per_s = batch * static_cast<double>(model_.config().sequence_length) * steps_per_s;
    reports::SpeedBlock& speed = record_.speed;
    speed.warmup_steps_excluded = options_.warmup_steps;
    speed.executed_tokens_per_s = batch * *record_.executed_length.mean * steps_per_s;
    const PhaseSeconds& phases = learner_->phases();
    speed.phase_s = reports::PhaseBlock{
        .data = phases.data, .forward = phases.forward, .backward = phases.backward, .optimizer = phases.optimizer};
    if (options_.mode == Mode::train) {
      speed.train_steps_per_s = steps_per_s;
      speed.train_tokens_per_s = tokens_per_s;
      speed.train_step_ms = step_times(samples_ms_);
      speed.train_step_samples_ms = samples_ms_;
      record_.mfu.train = reports::median(mfu_);
    } else {
      speed.infer_steps_per_s = steps_per_s;
      speed.infer_tokens_per_s = tokens_per_s;
      speed.infer_step_ms = step_times(samples_ms_);
      speed.infer_step_samples_ms = samples_ms_;
      record_.mfu.infer = reports::median(mfu_);
    }
    record_.mfu.samples = mfu_;
    record_.mfu.peak_sgemm_gflops = reports::median(peaks_);
    describe_memory(record_, *learner_);
    return record_;
  }

 private:
  /// Throws ResourceError when the tokens of one batch do not fit beside the learner.
  void make_examples() {
    const TrainConfig& config = model_.config();
    const int64_t needed_bytes =
        config.train.batch_size * config.sequence_length * static_cast<int64_t>(sizeof(int32_t));
    const int64_t left_bytes = options_.memory_limit_bytes > 0
                                   ? options_.memory_limit_bytes - learner_->memory().total()
                                   : available_memory_bytes();
    if (needed_bytes > left_bytes)
      throw ResourceError(fmt::format("[memory] the tokens of a batch need {} and {} are left",
                                      reports::format_bytes(needed_bytes), reports::format_bytes(left_bytes)),
                          "lower --batch or --length");
    examples_.emplace(config.train.batch_size, config.sequence_length, facts_.vocab_size(), facts_.num_classes,
                      config.seed);
  }

  void step() {
    if (options_.mode == Mode::train) {
      learner_->train_step(*examples_, batch_, steps_++);
    } else {
      learner_->infer_batch(*examples_, batch_);
    }
  }

  const BenchOptions& options_;
  tasks::TaskFacts facts_;
  Model model_;
  reports::ResultRecord record_;
  std::optional<RandomExamples> examples_;
  std::vector<int64_t> batch_;
  std::unique_ptr<Learner> learner_;
  int64_t steps_ = 0;
  double timed_s_ = 0;
  std::vector<double> samples_ms_, mfu_, peaks_;
};

}  // namespace

std::vector<reports::ResultRecord> bench(const std::vector<ResolvedConfig>& configurations, const BenchOptions& options,
                                         const std::function<bool()>& interrupted) {
  std::vector<std::unique_ptr<Candidate>> candidates;
  for (const ResolvedConfig& resolved : configurations) {
    candidates.push_back(std::make_unique<Candidate>(resolved, options));
    if (!candidates.back()->prepare())
      log_line(fmt::format("{} at n = {} does not fit in memory", resolved.config.attention.name,
                           resolved.config.sequence_length));
  }
  for (bool more = true; more && !interrupted();) {
    more = false;
    for (const std::unique_ptr<Candidate>& candidate : candidates) {
      if (!candidate->ready() || candidate->enough()) continue;
      candidate->measure();
      more = true;
    }
  }
  std::vector<reports::ResultRecord> records;
  for (const std::unique_ptr<Candidate>& candidate : candidates) records.push_back(candidate->finish());
  return records;
}

}  // namespace lra::harness
