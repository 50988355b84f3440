#include "harness/trainer.h"

#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/errors.h"
#include "engine/io/directory_lock.h"
#include "harness/environment.h"
#include "harness/examples.h"
#include "harness/progress.h"
#include "harness/record_builder.h"
#include "harness/signals.h"
#include "reports/statistics.h"

namespace lra::harness {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr int64_t kWarmupSteps = 5;  // left out of the speed
constexpr double kPeakBurst_s = 0.05;
constexpr const char* kLocked = "the run directory";

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

std::vector<int64_t> lengths_of(const Examples& examples) {
  std::vector<int64_t> lengths(static_cast<size_t>(examples.size()));
  for (size_t i = 0; i < lengths.size(); ++i) lengths[i] = examples.length(static_cast<int64_t>(i));
  return lengths;
}

std::vector<int64_t> joined(std::vector<int64_t> a, const std::vector<int64_t>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

/// Validation is the test split under the `paper` policy where a task has none of its own.
const tasks::Split& validation_split(const tasks::Dataset& dataset) {
  return dataset.validation().size() > 0 ? dataset.validation() : dataset.test();
}

/// One run from its first (or next) step to its record.
class TrainingRun {
 public:
  TrainingRun(const ResolvedConfig& resolved, const tasks::Dataset& dataset, const TrainOptions& options)
      : resolved_(resolved),
        config_(resolved.config),
        options_(options),
        dataset_(dataset),
        hash_(config_hash(config_, dataset.manifest().dataset_sha256)),
        directory_(run_directory(options.out, {.task = config_.task.name,
                                               .attention = config_.attention.name,
                                               .sequence_length = config_.sequence_length,
                                               .config_hash = hash_,
                                               .seed = config_.seed})),
        train_(dataset.train(), config_.sequence_length),
        validation_(validation_split(dataset), config_.sequence_length),
        test_(dataset.test(), config_.sequence_length) {
    for (const tasks::SplitName split : tasks::kSplitNames) require_known_tokens(dataset, split);
    if (train_.size() == 0 || test_.size() == 0)
      throw UsageError(fmt::format("[train] the data set in {} has {} train and {} test examples",
                                   dataset.directory().string(), train_.size(), test_.size()),
                       "prepare one with both (`lra data info` shows what is there)");
  }

  TrainOutcome run() {
    std::optional<io::DirectoryLock> lock;
    std::error_code error;
    if (fs::is_directory(directory_, error)) {
      lock.emplace(directory_, kLocked);
      if (auto finished = settle_earlier_run()) return {*finished, directory_, 0};
    }
    catch_interrupts();
    Model model(config_, {.vocab_size = dataset_.vocab_size(), .num_classes = dataset_.num_classes()},
                engine::Dtype::f32,
                config_.train.kernels == Kernels::kPlain ? engine::Kernels::plain : engine::Kernels::fused);
    Learner learner(model, {.threads = options_.threads, .memory_limit_bytes = options_.memory_limit_bytes},
                    lengths_of(train_), joined(lengths_of(validation_), lengths_of(test_)));
    learner_ = &learner;
    // Only a run that is known to fit makes its directory, or clears an earlier run away.
    io::create_directories(directory_ / "checkpoint");
    if (!lock) {
      lock.emplace(directory_, kLocked);
      if (auto finished = settle_earlier_run()) return {*finished, directory_, 0};
    }
    clear_leftovers();
    RunState state;
    if (fs::exists(last_checkpoint())) {
      state = load_checkpoint(last_checkpoint(), hash_, learner);
      log_line(fmt::format("resuming {} at step {}", directory_.string(), state.step));
    } else {
      write_json(directory_ / "config.json", to_json(config_));
    }
    MetricsLog metrics(directory_ / "metrics.jsonl", state.metrics_bytes);
    metrics_ = &metrics;
    peaks_.push_back(measure_peak_gflops(learner.workers(), kPeakBurst_s));
    session_start_ = Clock::now();
    const double earlier_wall_s = state.wall_s;
    bool diverged = false;
    loop(state, earlier_wall_s, diverged);
    TrainOutcome outcome{finish(state, earlier_wall_s, diverged), directory_, interrupted_by()};
    return outcome;
  }

 private:
  fs::path last_checkpoint() const { return directory_ / "checkpoint" / "last.safetensors"; }
  fs::path best_checkpoint() const { return directory_ / "checkpoint" / "best.safetensors"; }
  fs::path result_file() const { return directory_ / "result.json"; }

  /// What to do about an earlier run: report a finished one (--resume), go on, start afresh (--force) or refuse.
  std::optional<reports::ResultRecord> settle_earlier_run() const {
    const bool finished = fs::exists(result_file()), started = fs::exists(last_checkpoint());
    if (options_.force) return std::nullopt;
    if (finished && options_.resume) {
      try {
        return reports::record_from_json(read_json(result_file()));
      } catch (const reports::RecordError& error) {
        throw DataError(fmt::format("[train] {}: {}", result_file().string(), error.what()),
                        "remove the file and run again with --resume: the checkpoint is still there");
      }
    }
    if ((finished || started) && !options_.resume)
      throw UsageError(
          fmt::format("[train] {} already holds a {} run", directory_.string(), finished ? "finished" : "started"),
          "--resume goes on with it (or reports it again), --force starts afresh and replaces it");
    return std::nullopt;
  }

  /// What killed writers left and, with --force, the earlier run.
  void clear_leftovers() const {
    io::remove_stale_temporaries(directory_);
    io::remove_stale_temporaries(directory_ / "checkpoint");
    if (!options_.force) return;
    for (const fs::path& path : {result_file(), last_checkpoint(), best_checkpoint()}) fs::remove(path);
  }

  /// Whether `step` steps completed are a moment of what happens every `every` steps; 0: only at the end.
  bool is_due(int64_t step, int64_t every) const {
    return step == config_.train.steps || (every > 0 && step % every == 0);
  }

  void loop(RunState& state, double earlier_wall_s, bool& diverged) {
    const OptimisationConfig& train = config_.train;
    BatchOrder order(train_.size(), train.batch_size, config_.seed);
    std::vector<int64_t> batch(static_cast<size_t>(train.batch_size));
    Progress progress(fmt::format("{} {}", config_.task.name, config_.attention.name),
                      static_cast<uint64_t>(train.steps), "steps");
    progress.update(static_cast<uint64_t>(state.step));
    while (state.step < train.steps) {
      const Clock::time_point start = Clock::now();
      order.batch(state.step, batch);
      const Tally tally = learner_->train_step(train_, batch, state.step);
      const double step_s = seconds_since(start);
      note_step(state, tally, step_s, batch);
      ++state.step;
      if (!std::isfinite(tally.loss_sum)) {
        diverged = true;
        metrics_->append(state.step, "train", {{"diverged", true}});
        return;
      }
      if (is_due(state.step, train.log_every)) log_training(state);
      const bool evaluated = is_due(state.step, train.eval_every);
      if (evaluated && !evaluate(state)) {
        diverged = true;
        return;
      }
      const bool stop = interrupted_by() != 0;
      if (evaluated || stop || is_due(state.step, train.checkpoint_every)) {
        state.wall_s = earlier_wall_s + seconds_since(session_start_);
        metrics_->sync();
        state.metrics_bytes = metrics_->bytes();
        save_checkpoint(last_checkpoint(), hash_, state, *learner_);
      }
      progress.update(static_cast<uint64_t>(state.step),
                      fmt::format("loss {:.3f} val {:.1f}%", tally.loss(), 100 * state.last_validation_accuracy));
      if (stop) break;
    }
    progress.finish();
  }

  void note_step(RunState& state, const Tally& tally, double step_s, std::span<const int64_t> batch) {
    state.since_log += tally;
    state.since_evaluation += tally;
    state.all += tally;
    int64_t step_flops = 0;
    for (const int64_t example : batch) {
      state.longest_rows = std::max(state.longest_rows, learner_->model().rows_for(train_.length(example)));
      step_flops += 3 * flops(train_.length(example));
    }
    state.model_flops += step_flops;
    if (++session_steps_ <= kWarmupSteps) return;
    step_ms_.push_back(step_s * 1e3);
    timed_ += tally;
    timed_flops_ += static_cast<double>(step_flops);
  }

  /// Model FLOPs by length, remembered.
  int64_t flops(int64_t length) {
    const auto found = flops_.find(length);
    if (found != flops_.end()) return found->second;
    return flops_[length] = learner_->model().forward_flops(length);
  }

  void log_training(RunState& state) {
    metrics_->append(state.step, "train",
                     {{"train/loss", state.since_log.loss()}, {"train/accuracy", state.since_log.accuracy()}});
    state.since_log = {};
  }

  /// False when the weights have become such that the loss is not finite.
  bool evaluate(RunState& state) {
    const Tally tally = learner_->evaluate(validation_);
    if (!std::isfinite(tally.loss_sum)) {
      metrics_->append(state.step, "validation", {{"diverged", true}});
      return false;
    }
    const bool better = state.best.step == 0 || tally.accuracy() > state.best.accuracy;
    state.last_validation_accuracy = tally.accuracy();
    state.last_validation_loss = tally.loss();
    if (better) {
      state.best = {.step = state.step, .accuracy = tally.accuracy(), .loss = tally.loss()};
      save_weights(best_checkpoint(), hash_, state.step, *learner_);
    }
    state.last_window = state.since_evaluation;
    metrics_->append(state.step, "validation",
                     {{"validation/accuracy", tally.accuracy()},
                      {"validation/loss", tally.loss()},
                      {"validation/correct", tally.correct},
                      {"validation/examples", tally.examples},
                      {"train/loss", state.last_window.loss()},
                      {"train/accuracy", state.last_window.accuracy()},
                      {"best_step", state.best.step}});
    state.since_evaluation = {};
    peaks_.push_back(measure_peak_gflops(learner_->workers(), kPeakBurst_s));
    return true;
  }

  reports::ResultRecord finish(RunState& state, double earlier_wall_s, bool diverged) {
    reports::ResultRecord record = describe(resolved_, learner_->model(), options_.threads);
    record.kind = reports::RunKind::kTrain;
    record.config_hash = hash_;
    record.selection = to_text(config_.train.selection);
    describe_dataset(record, dataset_);
    describe_speed(record, state);
    const bool complete = state.step == config_.train.steps && !diverged;
    if (complete) {
      fill_accuracy(record, state);
    } else {
      record.status = diverged ? reports::RunStatus::kDiverged : reports::RunStatus::kInterrupted;
    }
    if (state.best.step > 0) record.best_step = state.best.step;
    describe_memory(record, *learner_);
    record.speed.start_up_s = learner_->start_up_s();
    record.wall_s = earlier_wall_s + seconds_since(session_start_);
    // An interrupted run is not finished: only its checkpoint says so.
    if (complete || diverged) write_json(result_file(), reports::to_json(record));
    return record;
  }

  void fill_accuracy(reports::ResultRecord& record, const RunState& state) {
    const bool best = config_.train.selection == Selection::kBestValidation;
    if (best) load_weights(best_checkpoint(), hash_, learner_->model().parameters(), learner_->weights());
    const Tally test = learner_->evaluate(test_);
    const reports::Interval interval = reports::wilson_interval(test.correct, test.examples);
    record.accuracy = {.train = state.last_window.accuracy(),
                       .validation = best ? state.best.accuracy : state.last_validation_accuracy,
                       .test = test.accuracy(),
                       .test_correct = test.correct,
                       .test_total = test.examples,
                       .wilson95 = std::array{interval.low, interval.high}};
    record.loss = {.train = state.last_window.loss(),
                   .validation = best ? state.best.loss : state.last_validation_loss,
                   .test = test.loss()};
    record.status = interval.low > record.task.majority_baseline.value_or(0) ? reports::RunStatus::kConverged
                                                                             : reports::RunStatus::kAtChance;
    if (!std::isfinite(test.loss_sum)) record.status = reports::RunStatus::kDiverged;
    record.speed.phase_s->eval = learner_->phases().eval;
  }

  void describe_speed(reports::ResultRecord& record, const RunState& state) {
    record.executed_length = {.mean = static_cast<double>(state.all.executed_tokens) /
                                      static_cast<double>(std::max<int64_t>(1, state.all.examples)),
                              .max = state.longest_rows};
    const PhaseSeconds& phases = learner_->phases();
    record.speed.batch_size = config_.train.batch_size;
    record.speed.warmup_steps_excluded = std::min(session_steps_, kWarmupSteps);
    record.speed.phase_s = reports::PhaseBlock{.data = phases.data,
                                               .forward = phases.forward,
                                               .backward = phases.backward,
                                               .optimizer = phases.optimizer,
                                               .eval = phases.eval};
    if (state.step > 0)
      record.model_flops.train_per_step = static_cast<double>(state.model_flops) / static_cast<double>(state.step);
    if (step_ms_.empty()) return;
    double seconds = 0;
    for (const double ms : step_ms_) seconds += ms * 1e-3;
    record.speed.train_steps_per_s = static_cast<double>(step_ms_.size()) / seconds;
    record.speed.train_tokens_per_s = static_cast<double>(timed_.tokens) / seconds;
    record.speed.executed_tokens_per_s = static_cast<double>(timed_.executed_tokens) / seconds;
    record.speed.train_step_ms = step_times(step_ms_);
    record.mfu.peak_sgemm_gflops = reports::median(peaks_);
    record.mfu.train = timed_flops_ / seconds / (*record.mfu.peak_sgemm_gflops * 1e9);
  }

  const ResolvedConfig& resolved_;
  const TrainConfig& config_;
  const TrainOptions& options_;
  const tasks::Dataset& dataset_;
  std::string hash_;
  fs::path directory_;
  SplitExamples train_, validation_, test_;
  Learner* learner_ = nullptr;
  MetricsLog* metrics_ = nullptr;
  Clock::time_point session_start_;
  int64_t session_steps_ = 0;
  std::vector<double> step_ms_, peaks_;
  Tally timed_;
  double timed_flops_ = 0;
  std::map<int64_t, int64_t> flops_;
};

}  // namespace

TrainOutcome train(const ResolvedConfig& resolved, const tasks::Dataset& dataset, const TrainOptions& options) {
  ResolvedConfig complete = resolved;  // the hash, hence the run's name, covers the mechanism's defaults
  complete_attention_parameters(complete.config);
  return TrainingRun(complete, dataset, options).run();
}

}  // namespace lra::harness
