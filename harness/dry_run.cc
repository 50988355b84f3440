#include "harness/dry_run.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>

#include "engine/errors.h"
#include "engine/io/file.h"
#include "harness/checkpoint.h"
#include "harness/initial_weights.h"
#include "harness/memory.h"
#include "harness/run_inputs.h"
#include "harness/stopwatch.h"
#include "reports/page.h"
#include "reports/units.h"

namespace lra::harness {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

constexpr double kEnough_s = 2;  // of steps, for an estimate
constexpr int64_t kMostSteps = 6;

int64_t tokens_of(const Examples& examples) {
  int64_t tokens = 0;
  for (int64_t i = 0; i < examples.size(); ++i) tokens += examples.tokens(i);
  return tokens;
}

/// Throws ResourceError where train() could not make `directory`, without trying.
void require_makeable(const fs::path& directory) {
  fs::path nearest = fs::absolute(directory);
  std::error_code error;
  while (!fs::exists(nearest, error) && nearest.has_relative_path()) nearest = nearest.parent_path();
  if (!fs::is_directory(nearest, error)) io::throw_system_error("make the directory", directory, ENOTDIR);
  if (::access(nearest.c_str(), W_OK | X_OK) != 0) io::throw_system_error("make the directory", directory, errno);
}

/// Seconds for each token of training.
double time_training(Learner& learner, const RunInputs& inputs, int64_t first_step, const TrainConfig& config) {
  BatchOrder order(inputs.train.size(), config.train.batch_size, config.seed);
  std::vector<int64_t> batch(static_cast<size_t>(config.train.batch_size));
  const Clock::time_point start = Clock::now();
  double seconds = 0;
  int64_t tokens = 0;
  for (int64_t step = 0; step < kMostSteps && (step == 0 || seconds_since(start) < kEnough_s); ++step) {
    order.batch(first_step + step, batch);
    const Clock::time_point step_start = Clock::now();
    const Tally tally = learner.train_step(inputs.train, batch, first_step + step);
    if (step == 1) seconds = 0, tokens = 0;  // the first warms caches up
    seconds += seconds_since(step_start);
    tokens += tally.tokens;
  }
  return seconds / static_cast<double>(std::max<int64_t>(1, tokens));
}

/// Seconds for each token of evaluation.
double time_evaluation(Learner& learner, const Examples& examples, int64_t batch_size) {
  std::vector<int64_t> batch(static_cast<size_t>(std::min(batch_size, examples.size())));
  for (size_t i = 0; i < batch.size(); ++i) batch[i] = static_cast<int64_t>(i);
  const Clock::time_point start = Clock::now();
  const Tally tally = learner.infer_batch(examples, batch);
  return seconds_since(start) / static_cast<double>(std::max<int64_t>(1, tally.tokens));
}

void estimate_time(DryRun& run, Learner& learner, const RunInputs& inputs) {
  const OptimisationConfig& train = run.config.train;
  const double tokens_per_step = static_cast<double>(tokens_of(inputs.train)) /
                                 static_cast<double>(inputs.train.size()) * static_cast<double>(train.batch_size);
  run.time.start_up_s = learner.start_up_s();
  run.time.step_s = time_training(learner, inputs, run.steps_done, run.config) * tokens_per_step;
  const double token_s = time_evaluation(learner, inputs.validation, train.batch_size);
  run.time.validation_s = token_s * static_cast<double>(tokens_of(inputs.validation));
  run.time.test_s = token_s * static_cast<double>(tokens_of(inputs.test));
  run.time.total_s = run.time.start_up_s + run.time.step_s * static_cast<double>(run.steps_left()) +
                     run.time.validation_s * static_cast<double>(run.evaluations_left) + run.time.test_s;
}

/// Moments at which `every` is due from step `done` on; the last step always is one.
int64_t moments_left(int64_t done, int64_t steps, int64_t every) {
  if (done >= steps) return 0;
  if (every == 0) return 1;
  return steps / every - done / every + (steps % every == 0 ? 0 : 1);
}

/// Sets effect and steps_done; true when there is nothing to train.
bool look_for_earlier_run(DryRun& run, const RunInputs& inputs, const TrainOptions& options) {
  if (inputs.settle_earlier_run(options.resume, options.force)) {
    run.effect = "holds the finished run, which would be reported again";
    run.steps_done = run.config.train.steps;
    return true;
  }
  const bool there = fs::exists(inputs.last_checkpoint());
  if (there && options.force) {
    run.effect = "holds a run, which would be replaced";
  } else if (there) {
    run.steps_done = checkpoint_step(inputs.last_checkpoint(), inputs.config_hash);
    run.effect = fmt::format("holds the run at step {}, which would go on", reports::format_integer(run.steps_done));
  } else {
    run.effect = "would be made";
  }
  return false;
}

}  // namespace

DryRun dry_run(const ResolvedConfig& resolved, const tasks::Dataset& dataset, const TrainOptions& options) {
  const ResolvedConfig complete = completed(resolved);
  const RunInputs inputs(complete.config, dataset, options.out);
  DryRun run{.config = complete.config,
             .notes = complete.notes,
             .config_hash = inputs.config_hash,
             .directory = inputs.directory,
             .data = dataset.directory(),
             .dataset_sha256 = dataset.manifest().dataset_sha256,
             .train_examples = inputs.train.size(),
             .validation_examples = inputs.validation.size(),
             .test_examples = inputs.test.size(),
             .threads = options.threads};
  require_makeable(inputs.directory / "checkpoint");
  const bool finished = look_for_earlier_run(run, inputs, options);
  run.evaluations_left = moments_left(run.steps_done, run.config.train.steps, run.config.train.eval_every);
  Model model(run.config, shape_of(dataset), engine::Dtype::f32,
              run.config.train.kernels == Kernels::kPlain ? engine::Kernels::plain : engine::Kernels::fused);
  run.parameters = model.parameters().learned_elements();
  run.available_bytes = options.memory_limit_bytes > 0 ? options.memory_limit_bytes : available_memory_bytes();
  if (finished) return run;
  if (run.steps_done == 0 && !run.config.train.init_from.empty()) read_initial_weights(run.config, model.parameters());
  Learner learner(model, {.threads = options.threads, .memory_limit_bytes = options.memory_limit_bytes},
                  inputs.train_lengths(), inputs.evaluated_lengths());
  run.memory = learner.memory();
  run.recomputed = model.activations() == engine::Activations::recomputed;
  estimate_time(run, learner, inputs);
  return run;
}

std::string dry_run_report(const DryRun& run, int width) {
  using reports::format_bytes, reports::format_duration_s, reports::format_integer;
  const TrainConfig& config = run.config;
  const OptimisationConfig& train = config.train;
  reports::Page page(width);
  page.row("Dry run",
           fmt::format("{}, {} attention, {} preset, n = {}, seed {}", config.task.name, config.attention.name,
                       config.preset, format_integer(config.sequence_length), config.seed));
  page.rule();
  page.row("Directory", fmt::format("{} {}", run.directory.string(), run.effect));
  page.row("Data",
           fmt::format("{} train, {} validation, {} test examples of {}", format_integer(run.train_examples),
                       format_integer(run.validation_examples), format_integer(run.test_examples), run.data.string()));
  page.row("Model",
           fmt::format("{} parameters: {} layer{}, d_model {}, {} heads of {}, ffn {}", format_integer(run.parameters),
                       config.model.layers, config.model.layers == 1 ? "" : "s", config.model.d_model,
                       config.model.heads, config.model.d_head, config.model.d_ffn));
  if (!train.init_from.empty())
    page.row("", fmt::format("starts from {} (SHA-256 {})", train.init_from, train.init_sha256.substr(0, 12)));
  page.row("Steps",
           fmt::format("{} of {} examples, {:.2f} epochs in all; {} evaluations", format_integer(run.steps_left()),
                       format_integer(train.batch_size),
                       static_cast<double>(train.steps * train.batch_size) / static_cast<double>(run.train_examples),
                       format_integer(run.evaluations_left)));
  if (run.steps_left() > 0) {
    page.row("Memory",
             fmt::format("{} of {} available: {} arenas ({} of {} threads busy with examples of their own), "
                         "{} lane gradients, {} weights and optimiser{}",
                         format_bytes(run.memory.total()), format_bytes(run.available_bytes),
                         format_bytes(run.memory.arena_bytes), run.memory.examples_at_once, run.threads,
                         format_bytes(run.memory.lane_gradient_bytes), format_bytes(run.memory.parameter_bytes),
                         run.recomputed ? "; layers are computed again in the backward pass" : ""));
    page.row("Time", fmt::format("about {}: {} to start, {} a step, {} an evaluation",
                                 format_duration_s(run.time.total_s), format_duration_s(run.time.start_up_s),
                                 format_duration_s(run.time.step_s), format_duration_s(run.time.validation_s)));
  }
  for (size_t i = 0; i < run.notes.size(); ++i) page.row(i == 0 ? "Notes" : "", "- " + run.notes[i]);
  page.row("Refused", "nothing; no file was written");
  page.rule();
  std::string text = page.text();
  for (const auto& [key, value] : flatten(to_json(config), "configuration"))
    if (value != nlohmann::json(""))
      text += fmt::format("{}={}\n", key, value.is_string() ? value.get<std::string>() : value.dump());
  return text;
}

ordered_json to_json(const DryRun& run) {
  const MemoryForecast& memory = run.memory;
  return {{"configuration", to_json(run.config)},
          {"config_hash", run.config_hash},
          {"run_directory", run.directory.string()},
          {"effect", run.effect},
          {"data",
           {{"directory", run.data.string()},
            {"dataset_sha256", run.dataset_sha256},
            {"train_examples", run.train_examples},
            {"validation_examples", run.validation_examples},
            {"test_examples", run.test_examples}}},
          {"parameters", run.parameters},
          {"threads", run.threads},
          {"steps", {{"total", run.config.train.steps}, {"done", run.steps_done}, {"left", run.steps_left()}}},
          {"evaluations_left", run.evaluations_left},
          {"memory",
           {{"forecast_bytes", memory.total()},
            {"available_bytes", run.available_bytes},
            {"arena_bytes", memory.arena_bytes},
            {"lane_gradient_bytes", memory.lane_gradient_bytes},
            {"parameter_bytes", memory.parameter_bytes},
            {"constant_bytes", memory.constant_bytes},
            {"examples_at_once", memory.examples_at_once},
            {"recomputed", run.recomputed}}},
          {"estimate_s",
           {{"start_up", run.time.start_up_s},
            {"step", run.time.step_s},
            {"validation", run.time.validation_s},
            {"test", run.time.test_s},
            {"total", run.time.total_s}}},
          {"notes", run.notes}};
}

}  // namespace lra::harness
