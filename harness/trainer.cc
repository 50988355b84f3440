#include "harness/trainer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/errors.h"
#include "engine/io/directory_lock.h"
#include "harness/environment.h"
#include "harness/evaluation_bar.h"
#include "harness/initial_weights.h"
#include "harness/progress.h"
#include "harness/record_builder.h"
#include "harness/run_inputs.h"
#include "harness/signals.h"
#include "harness/stopwatch.h"
#include "reports/statistics.h"
#include "reports/units.h"

namespace lra::harness {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kWarmupSteps = 5;  // left out of the speed
constexpr const char* kLocked = "the run directory";

/// One run from its first (or next) step to its record.
class TrainingRun {
 public:
  TrainingRun(const ResolvedConfig& resolved, const tasks::Dataset& dataset, const TrainOptions& options)
      : resolved_(resolved),
        config_(resolved.config),
        options_(options),
        dataset_(dataset),
        inputs_(config_, dataset, options.out),
        directory_(inputs_.directory) {}

  TrainOutcome run() {
    std::optional<io::DirectoryLock> lock;
    std::error_code error;
    if (fs::is_directory(directory_, error)) {
      lock.emplace(directory_, kLocked);
      if (auto finished = inputs_.settle_earlier_run(options_.resume, options_.force))
        return {*finished, directory_, 0};
    }
    catch_interrupts();
    Model model(config_, shape_of(dataset_), engine::Dtype::f32,
                config_.train.kernels == Kernels::kPlain ? engine::Kernels::plain : engine::Kernels::fused);
    const bool fresh = options_.force || !fs::exists(inputs_.last_checkpoint());
    const std::vector<float> initial = fresh && !config_.train.init_from.empty()
                                           ? read_initial_weights(config_, model.parameters())
                                           : std::vector<float>();
    Learner learner(model, {.threads = options_.threads, .memory_limit_bytes = options_.memory_limit_bytes},
                    inputs_.train_lengths(), inputs_.evaluated_lengths());
    learner_ = &learner;
    std::copy(initial.begin(), initial.end(), learner.weights().begin());
    // Only a run that is known to fit makes its directory, or clears an earlier run away.
    io::create_directories(directory_ / "checkpoint");
    if (!lock) {
      lock.emplace(directory_, kLocked);
      if (auto finished = inputs_.settle_earlier_run(options_.resume, options_.force))
        return {*finished, directory_, 0};
    }
    clear_leftovers();
    RunState state;
    if (fs::exists(inputs_.last_checkpoint())) {
      state = load_checkpoint(inputs_.last_checkpoint(), inputs_.config_hash, learner);
      checkpoint_step_ = state.step;
      log_line(fmt::format("resuming {} at step {}", directory_.string(), state.step));
      plugin_note_ = inputs_.changed_plugin();
      if (!plugin_note_.empty()) log_line("warning: " + plugin_note_);
    } else {
      write_json(directory_ / "config.json", to_json(config_));
    }
    MetricsLog metrics(directory_ / "metrics.jsonl", state.metrics_bytes);
    metrics_ = &metrics;
    peaks_.push_back(measure_peak_gflops(learner.workers()));
    session_start_ = Clock::now();
    const double earlier_wall_s = state.wall_s;
    bool diverged = false;
    try {
      loop(state, earlier_wall_s, diverged);
      return {finish(state, earlier_wall_s, diverged), directory_, interrupted_by()};
    } catch (const RunError& failed) {  // of a kernel from a plug-in, or of weights that do not fit
      throw RunError(fmt::format("[train] {}: {}", doing_, failed.what()),
                     checkpoint_step_ > 0
                         ? fmt::format("{}; the checkpoint of step {} stays in {}: go on with --resume", failed.hint(),
                                       checkpoint_step_, directory_.string())
                         : failed.hint() + "; no checkpoint had been written");
    }
  }

 private:
  /// What killed writers left and, with --force, the earlier run.
  void clear_leftovers() const {
    io::remove_stale_temporaries(directory_);
    io::remove_stale_temporaries(directory_ / "checkpoint");
    if (!options_.force) return;
    for (const fs::path& path : {inputs_.result_file(), inputs_.last_checkpoint(), inputs_.best_checkpoint()})
      fs::remove(path);
  }

  /// Whether `step` steps completed are a moment of what happens every `every` steps; 0: only at the end.
  bool is_due(int64_t step, int64_t every) const {
    return step == config_.train.steps || (every > 0 && step % every == 0);
  }

  /// Whether the steps so far are due for an evaluation that they have not had.
  bool must_evaluate(const RunState& state) const {
    return state.since_evaluation.examples > 0 && is_due(state.step, config_.train.eval_every);
  }

  void loop(RunState& state, double earlier_wall_s, bool& diverged) {
    const OptimisationConfig& train = config_.train;
    BatchOrder order(inputs_.train.size(), train.batch_size, config_.seed);
    std::vector<int64_t> batch(static_cast<size_t>(train.batch_size));
    Progress progress(fmt::format("{} {}", config_.task.name, config_.attention.name),
                      static_cast<uint64_t>(train.steps), "steps");
    progress.update(static_cast<uint64_t>(state.step));
    Tally tally;  // of the last step
    while (state.step < train.steps || must_evaluate(state)) {
      if (!must_evaluate(state)) {  // a run that was interrupted in an evaluation begins with it
        doing_ = fmt::format("step {}", state.step + 1);
        const Clock::time_point start = Clock::now();
        order.batch(state.step, batch);
        tally = learner_->train_step(inputs_.train, batch, state.step);
        const double step_s = seconds_since(start);
        note_step(state, tally, step_s, batch);
        ++state.step;
        if (!std::isfinite(tally.loss_sum)) {
          diverged = true;
          metrics_->append(state.step, "train", {{"diverged", true}});
          return;
        }
        if (is_due(state.step, train.log_every)) log_training(state);
      }
      bool evaluated = false;
      std::exception_ptr failure;  // of the evaluation, before which the state is worth keeping
      if (must_evaluate(state)) {
        doing_ = fmt::format("evaluation after step {}", state.step);
        try {
          if (!evaluate(state)) {
            diverged = true;
            return;
          }
          evaluated = true;
        } catch (const Interrupted&) {  // the state is that before it
        } catch (const RunError&) {     // as well
          failure = std::current_exception();
        }
      }
      const bool stop = interrupted_by() != 0;
      if (evaluated || stop || failure || is_due(state.step, train.checkpoint_every)) {
        state.wall_s = earlier_wall_s + seconds_since(session_start_);
        metrics_->sync();
        state.metrics_bytes = metrics_->bytes();
        save_checkpoint(inputs_.last_checkpoint(), inputs_.config_hash, state, *learner_);
        checkpoint_step_ = state.step;
      }
      if (failure) std::rethrow_exception(failure);
      progress.update(static_cast<uint64_t>(state.step), session_steps_ > 0 ? progress_note(tally, state) : "");
      if (stop) break;
    }
    progress.finish();
  }

  /// "loss 1.703  402 k tokens/s  val 36.2 %"; the rate is that of about the last twenty steps.
  std::string progress_note(const Tally& tally, const RunState& state) const {
    std::string note =
        fmt::format("loss {:.3f}  {} tokens/s", tally.loss(), reports::format_scaled(recent_tokens_ / recent_s_));
    if (state.best.step > 0) note += fmt::format("  val {:.1f} %", 100 * state.last_validation_accuracy);
    return note;
  }

  void note_step(RunState& state, const Tally& tally, double step_s, std::span<const int64_t> batch) {
    state.since_log += tally;
    state.since_evaluation += tally;
    state.all += tally;
    constexpr double kKept = 0.95;
    recent_tokens_ = kKept * recent_tokens_ + static_cast<double>(tally.tokens);
    recent_s_ = kKept * recent_s_ + step_s;
    int64_t step_flops = 0;
    for (const int64_t example : batch) {
      state.longest_rows = std::max(state.longest_rows, learner_->model().rows_for(inputs_.train.longest(example)));
      step_flops += learner_->model().head_flops().training();
      for (int input = 0; input < inputs_.train.inputs(); ++input)
        step_flops += encoder_flops(inputs_.train.length(example, input));
    }
    state.model_flops += step_flops;
    if (++session_steps_ <= kWarmupSteps) return;
    step_ms_.push_back(step_s * 1e3);
    timed_ += tally;
    timed_flops_ += static_cast<double>(step_flops);
  }

  /// Model FLOPs of training the encoder on one sequence, by length, remembered.
  int64_t encoder_flops(int64_t length) {
    const auto found = flops_.find(length);
    if (found != flops_.end()) return found->second;
    return flops_[length] = learner_->model().encoder_flops(length).training();
  }

  void log_training(RunState& state) {
    metrics_->append(state.step, "train",
                     {{"train/loss", state.since_log.loss()}, {"train/accuracy", state.since_log.accuracy()}});
    state.since_log = {};
  }

  /// False when the weights have become such that the loss is not finite. Throws Interrupted, `state` as it was.
  bool evaluate(RunState& state) {
    const Tally tally = evaluate_with_bar(*learner_, inputs_.validation, "validation");
    if (!std::isfinite(tally.loss_sum)) {
      metrics_->append(state.step, "validation", {{"diverged", true}});
      return false;
    }
    const bool better = state.best.step == 0 || tally.accuracy() > state.best.accuracy;
    state.last_validation_accuracy = tally.accuracy();
    state.last_validation_loss = tally.loss();
    if (better) {
      state.best = {.step = state.step, .accuracy = tally.accuracy(), .loss = tally.loss()};
      save_weights(inputs_.best_checkpoint(), inputs_.config_hash, state.step, *learner_);
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
    peaks_.push_back(measure_peak_gflops(learner_->workers()));
    return true;
  }

  reports::ResultRecord finish(RunState& state, double earlier_wall_s, bool diverged) {
    reports::ResultRecord record = describe(resolved_, learner_->model(), options_.threads);
    record.kind = reports::RunKind::kTrain;
    record.config_hash = inputs_.config_hash;
    record.selection = to_text(config_.train.selection);
    if (!config_.train.init_from.empty())
      record.initial_weights = {.path = config_.train.init_from, .sha256 = config_.train.init_sha256};
    if (!plugin_note_.empty()) record.notes.push_back(plugin_note_);
    describe_dataset(record, dataset_, inputs_.splits);
    describe_speed(record, state);
    bool complete = state.step == config_.train.steps && !diverged && !must_evaluate(state);
    try {
      if (complete) fill_accuracy(record, state);
    } catch (const Interrupted&) {  // in the test: the last checkpoint has all that it needs
      complete = false;
    }
    if (!complete) record.status = diverged ? reports::RunStatus::kDiverged : reports::RunStatus::kInterrupted;
    if (state.best.step > 0) record.best_step = state.best.step;
    describe_memory(record, *learner_);
    record.speed.start_up_s = learner_->start_up_s();
    record.wall_s = earlier_wall_s + seconds_since(session_start_);
    // An interrupted run is not finished: only its checkpoint says so.
    if (complete || diverged) write_json(inputs_.result_file(), reports::to_json(record));
    return record;
  }

  void fill_accuracy(reports::ResultRecord& record, const RunState& state) {
    doing_ = "test";
    const bool best = config_.train.selection == Selection::kBestValidation;
    if (best)
      load_weights(inputs_.best_checkpoint(), inputs_.config_hash, learner_->model().parameters(), learner_->weights());
    const Tally test = evaluate_with_bar(*learner_, inputs_.test, "test");
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
    record.executed_length = {
        .mean = static_cast<double>(state.all.executed_tokens) /
                static_cast<double>(std::max<int64_t>(1, state.all.examples) * inputs_.train.inputs()),
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
  RunInputs inputs_;
  const fs::path& directory_;
  Learner* learner_ = nullptr;
  MetricsLog* metrics_ = nullptr;
  Clock::time_point session_start_;
  int64_t session_steps_ = 0;
  int64_t checkpoint_step_ = 0;  // of the last one; 0: there is none
  std::string doing_;            // "step 5", for errors
  std::string plugin_note_;      // how the plug-in differs from the one that the run was started with
  std::vector<double> step_ms_, peaks_;
  Tally timed_;
  double timed_flops_ = 0;
  double recent_tokens_ = 0, recent_s_ = 0;  // older steps count less
  std::map<int64_t, int64_t> flops_;
};

}  // namespace

TrainOutcome train(const ResolvedConfig& resolved, const tasks::Dataset& dataset, const TrainOptions& options) {
  const ResolvedConfig complete = completed(resolved);
  return TrainingRun(complete, dataset, options).run();
}

}  // namespace lra::harness
