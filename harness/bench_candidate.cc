#include "harness/bench_candidate.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "attention/plugin_guard.h"
#include "engine/aligned.h"
#include "engine/errors.h"
#include "harness/bound.h"
#include "harness/environment.h"
#include "harness/memory.h"
#include "harness/progress.h"
#include "harness/record_builder.h"
#include "harness/stopwatch.h"
#include "reports/statistics.h"
#include "reports/units.h"
#include "tasks/registry.h"

namespace lra::harness {
namespace {

// Warm-up: until the medians of two neighbouring windows agree, but no longer than this.
constexpr size_t kSettledWindow = 3;
constexpr double kSettledTolerance = 0.05;
constexpr int64_t kFewestWarmupSteps = 2;
constexpr int64_t kMostWarmupSteps = 30;
constexpr double kMostWarmup_s = 10.0;

std::array<double, 2> median95(std::span<const double> samples) {
  const reports::Interval interval = reports::bootstrap_median_interval(samples);
  return {interval.low, interval.high};
}

}  // namespace

Candidate::Candidate(const ResolvedConfig& resolved, const BenchOptions& options)
    : options_(options),
      model_(resolved.config, shape_of(tasks::task_named(resolved.config.task.name).facts()), engine::Dtype::f32,
             resolved.config.train.kernels == Kernels::kPlain ? engine::Kernels::plain : engine::Kernels::fused),
      record_(describe(resolved, model_, options.threads)),
      batch_(static_cast<size_t>(resolved.config.train.batch_size)),
      cpus_(affinity_cpus()) {
  std::iota(batch_.begin(), batch_.end(), int64_t{0});
  record_.kind = reports::RunKind::kBench;
  record_.task.split_policy.reset();
  const ModelFlops flops = model_.flops(resolved.config.sequence_length);
  const auto examples = static_cast<double>(batch_.size());
  record_.model_flops = {.train_per_step = static_cast<double>(flops.training()) * examples,
                         .infer_per_step = static_cast<double>(flops.forward) * examples};
  record_.executed_length = {.mean = static_cast<double>(model_.rows_for(resolved.config.sequence_length)),
                             .max = model_.rows_for(resolved.config.sequence_length)};
  record_.speed.batch_size = resolved.config.train.batch_size;
  record_.notes.insert(record_.notes.end(), options.machine_warnings.begin(), options.machine_warnings.end());
}

bool Candidate::prepare(const std::function<bool()>& interrupted) {
  const Clock::time_point start = Clock::now();
  const std::vector<int64_t> lengths = {model_.config().sequence_length};
  const std::vector<int64_t> none;
  const bool train = options_.mode == Mode::train;
  try {
    const int64_t limit_bytes =
        options_.memory_limit_bytes > 0 ? options_.memory_limit_bytes : available_memory_bytes();
    learner_ = std::make_unique<Learner>(model_,
                                         LearnerOptions{.threads = options_.threads,
                                                        .memory_limit_bytes = options_.memory_limit_bytes,
                                                        .most_at_once = static_cast<int64_t>(batch_.size())},
                                         train ? lengths : none, train ? none : lengths);
    record_.speed.start_up_s = seconds_since(start);
    refuse_if_tokens_do_not_fit(limit_bytes - learner_->memory().total());
    const TrainConfig& config = model_.config();
    examples_.emplace(config.train.batch_size, config.sequence_length, model_.task(), config.seed);
  } catch (const ResourceError& error) {
    learner_.reset();
    record_.status = reports::RunStatus::kDoesNotFit;
    record_.notes.emplace_back(error.what());
    return false;
  }
  warm_up(interrupted);
  learner_->phases() = {};
  record_.status = reports::RunStatus::kMeasured;
  return true;
}

/// Throws ResourceError when the tokens of one batch do not fit beside the learner.
void Candidate::refuse_if_tokens_do_not_fit(int64_t left_bytes) const {
  const TrainConfig& config = model_.config();
  const int64_t needed_bytes = config.train.batch_size * tokens_per_example() * static_cast<int64_t>(sizeof(int32_t));
  if (needed_bytes > left_bytes)
    throw ResourceError(fmt::format("[memory] the tokens of a batch need {} and {} are left",
                                    reports::format_bytes(needed_bytes), reports::format_bytes(left_bytes)),
                        "lower --batch or --length");
}

int64_t Candidate::tokens_per_example() const {
  return model_.config().sequence_length * model_.task().inputs_per_example;
}

void Candidate::step() {
  if (options_.mode == Mode::train) {
    learner_->train_step(*examples_, batch_, steps_++);
  } else {
    learner_->infer_batch(*examples_, batch_);
  }
}

void Candidate::warm_up(const std::function<bool()>& interrupted) {
  const Clock::time_point begin = Clock::now();
  bool settled = false;
  const auto done = [&] {
    const auto steps = static_cast<int64_t>(warmup_s_.size());
    if (options_.warmup_steps) return steps >= *options_.warmup_steps;
    settled = reports::has_settled(warmup_s_, kSettledWindow, kSettledTolerance);
    const bool too_long = steps >= kFewestWarmupSteps && seconds_since(begin) >= kMostWarmup_s;
    return settled || steps >= kMostWarmupSteps || too_long;
  };
  while (!done() && !interrupted()) {
    const Clock::time_point start = Clock::now();
    step();
    warmup_s_.push_back(seconds_since(start));
  }
  record_.speed.warmup_steps_excluded = static_cast<int64_t>(warmup_s_.size());
  if (!options_.warmup_steps) record_.speed.steady_state = settled;
}

int64_t Candidate::groups_expected() const {
  if (!ready()) return 0;
  const std::span<const double> last = std::span(warmup_s_).last(std::min(warmup_s_.size(), kSettledWindow));
  if (last.empty()) return options_.min_steps;
  const double step_s = reports::median(last);
  const double needed_s = std::max(options_.min_time_s, step_s * static_cast<double>(options_.min_steps));
  return static_cast<int64_t>(std::ceil(needed_s / std::max(step_s, kPeakBurst_s)));
}

bool Candidate::enough() const {
  return static_cast<int64_t>(samples_ms_.size()) >= options_.min_steps && timed_s_ >= options_.min_time_s;
}

double Candidate::burst() {
  peaks_.push_back(measure_peak_gflops(learner_->workers()));
  return peaks_.back();
}

/// Steps that together take a burst's time, one at least, no more than needed.
void Candidate::time_group() {
  const NoiseCounters before = read_noise_counters(cpus_);
  double group_s = 0;
  do {
    const Clock::time_point start = Clock::now();
    step();
    const double step_s = seconds_since(start);
    samples_ms_.push_back(step_s * 1e3);
    group_s += step_s;
    timed_s_ += step_s;
  } while (group_s < kPeakBurst_s && !enough());
  counters_ += read_noise_counters(cpus_) - before;
}

void Candidate::measure(int64_t groups, const std::function<bool()>& interrupted) {
  const double flops =
      options_.mode == Mode::train ? *record_.model_flops.train_per_step : *record_.model_flops.infer_per_step;
  double peak_before = burst();
  for (int64_t group = 0; group < groups && !enough() && !interrupted(); ++group) {
    const size_t first = samples_ms_.size();
    time_group();
    const double peak_after = burst();
    const double peak = 0.5 * (peak_before + peak_after);
    for (size_t i = first; i < samples_ms_.size(); ++i) mfu_.push_back(flops / (samples_ms_[i] * 1e-3) / (peak * 1e9));
    peak_before = peak_after;
  }
}

reports::ResultRecord Candidate::finish(const reports::BandwidthBlock& bandwidth,
                                        const std::function<bool()>& interrupted) {
  if (ready() && !enough()) record_.status = reports::RunStatus::kInterrupted;
  if (ready()) describe_memory(record_, *learner_);
  record_.memory.bandwidth_gb_per_s = bandwidth;
  if (ready() && !samples_ms_.empty()) {
    fill_speed();
    fill_noise();
    if (!interrupted()) fill_bound_and_profile(bandwidth);
  }
  learner_.reset();
  return record_;
}

void Candidate::fill_speed() {
  const double step_s = reports::median(samples_ms_) * 1e-3;
  const double steps_per_s = 1.0 / step_s, batch = static_cast<double>(batch_.size());
  const double tokens_per_s = batch * static_cast<double>(tokens_per_example()) * steps_per_s;
  reports::SpeedBlock& speed = record_.speed;
  reports::StepTimeBlock times = step_times(samples_ms_);
  times.median95 = median95(samples_ms_);
  speed.executed_tokens_per_s = batch * model_.task().inputs_per_example * *record_.executed_length.mean * steps_per_s;
  const PhaseSeconds& phases = learner_->phases();
  speed.phase_s = reports::PhaseBlock{
      .data = phases.data, .forward = phases.forward, .backward = phases.backward, .optimizer = phases.optimizer};
  if (options_.mode == Mode::train) {
    speed.train_steps_per_s = steps_per_s;
    speed.train_tokens_per_s = tokens_per_s;
    speed.train_step_ms = times;
    speed.train_step_samples_ms = samples_ms_;
    record_.mfu.train = reports::median(mfu_);
  } else {
    speed.infer_steps_per_s = steps_per_s;
    speed.infer_tokens_per_s = tokens_per_s;
    speed.infer_step_ms = times;
    speed.infer_step_samples_ms = samples_ms_;
    record_.mfu.infer = reports::median(mfu_);
  }
  record_.mfu.samples = mfu_;
  record_.mfu.median95 = median95(mfu_);
  record_.mfu.peak_sgemm_gflops = reports::median(peaks_);
  record_.mfu.peak_samples_gflops = peaks_;
}

void Candidate::fill_noise() {
  record_.noise = describe_noise(samples_ms_, peaks_, counters_);
  for (const std::string& warning : noise_warnings(*record_.noise, static_cast<int64_t>(samples_ms_.size()))) {
    log_line(fmt::format("warning: {} at n = {}: {}", record_.attention.name, record_.sequence_length, warning));
    record_.notes.push_back(warning);
  }
}

void Candidate::fill_bound_and_profile(const reports::BandwidthBlock& bandwidth) {
  const engine::AlignedVector<float> weights(learner_->weights().begin(), learner_->weights().end());
  learner_.reset();  // what follows makes arenas of its own
  engine::Workers workers(options_.threads);
  const engine::Plan& plan = model_.plan(model_.rows_for(model_.config().sequence_length), options_.mode);
  const WorkRates rates = measure_work_rates(workers);
  const WorkSeconds least = least_seconds(plan, workers, rates);
  // The rates are of kernels that nothing interrupts. During the steps the machine went at the pace of the bursts.
  const double pace = rates.product_gflops * options_.threads / *record_.mfu.peak_sgemm_gflops;
  const auto step_ms = [&](double worker_s) {
    return worker_s * static_cast<double>(batch_.size()) * model_.task().inputs_per_example / options_.threads * pace *
           1e3;
  };
  reports::BoundBlock bound{.step_ms = step_ms(least.total()),
                            .products_ms = step_ms(least.products),
                            .worker_peak_gflops = rates.product_gflops};
  if (least.exponentials > 0) bound.exponentials_ms = step_ms(least.exponentials);
  if (least.draws > 0) bound.draws_ms = step_ms(least.draws);
  bound.share_reached = *bound.step_ms / reports::median(samples_ms_);
  record_.bound = bound;
  if (options_.profile_by)
    attention::while_running(model_.mechanism(), [&] { fill_profile(workers, weights, bandwidth); });
}

double Candidate::worker_ns_per_token(double seconds) const {
  const double tokens = static_cast<double>(batch_.size()) * static_cast<double>(tokens_per_example());
  return seconds * options_.threads * 1e9 / tokens;
}

void Candidate::fill_profile(engine::Workers& workers, std::span<const float> weights,
                             const reports::BandwidthBlock& bandwidth) {
  const engine::Plan& plan = model_.plan(model_.rows_for(model_.config().sequence_length), options_.mode);
  const PlanProfile profile = profile_plan(model_, options_.mode, weights, *examples_, workers);
  const double threads = options_.threads;
  // Phases are sums over all timed steps; what a median step has of them adds up with it.
  const double timed_s = std::accumulate(samples_ms_.begin(), samples_ms_.end(), 0.0) * 1e-3;
  const double median_s = reports::median(samples_ms_) * 1e-3;
  const auto of_median_step = [&](double phase_s) { return worker_ns_per_token(phase_s * median_s / timed_s); };
  const reports::PhaseBlock& phases = *record_.speed.phase_s;
  const StepCosts costs{.step_ns = worker_ns_per_token(median_s),
                        .data_ns = of_median_step(phases.data),
                        .passes_ns = of_median_step(phases.forward + phases.backward),
                        .optimizer_ns = of_median_step(phases.optimizer),
                        .optimizer_bytes = options_.mode == Mode::train ? optimizer_bytes(model_) : 0};
  record_.profile = profile_rows(
      plan, profile,
      {.by = *options_.profile_by,
       .tokens = model_.config().sequence_length,
       .yardstick = {.gflops = *record_.bound->worker_peak_gflops, .gb_per_s = bandwidth.before.value_or(0) / threads},
       .costs = costs});
  if (options_.trace)
    options_.trace->add(fmt::format("{}, n = {}, {}", record_.attention.name, record_.sequence_length,
                                    options_.mode == Mode::train ? "train" : "infer"),
                        plan, profile);
}

}  // namespace lra::harness
