#include "harness/record_builder.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "engine/onednn/info.h"
#include "engine/ops/dropout.h"
#include "harness/environment.h"
#include "reports/statistics.h"
#include "tasks/registry.h"

namespace lra::harness {

reports::ResultRecord describe(const ResolvedConfig& resolved, const Model& model, int threads) {
  const TrainConfig& config = model.config();
  reports::ResultRecord record;
  record.task.name = config.task.name;
  record.task.split_policy = to_text(config.task.split_policy);
  record.attention.name = config.attention.name;
  for (const auto& [name, value] : config.attention.parameters) record.attention.parameters[name] = value;
  record.attention.parameters["causal"] = config.attention.causal;
  if (!config.attention.plugin.empty())
    record.attention.plugin =
        reports::PluginBlock{.file = config.attention.plugin, .sha256 = config.attention.plugin_sha256};
  record.preset = config.preset;
  record.preset_sha256 = resolved.preset_sha256;
  record.sequence_length = config.sequence_length;
  record.seed = config.seed;
  record.lanes = config.train.lanes;
  record.threads = threads;
  record.denormals_flushed = true;
  constexpr double kUnits = 65536.0;
  record.model = {.layers = config.model.layers,
                  .d_model = config.model.d_model,
                  .heads = config.model.heads,
                  .d_head = config.model.d_head,
                  .d_ffn = config.model.d_ffn,
                  .parameters = model.parameters().learned_elements(),
                  .dropout_effective = engine::dropout_threshold(config.model.dropout) / kUnits};
  if (model.attention_facts().attention_dropout)
    record.model.attention_dropout_effective = engine::dropout_threshold(config.model.attention_dropout) / kUnits;
  const int64_t softmax = softmax_model_parameters(config, model.task());
  record.model.parameters_ratio_to_softmax =
      static_cast<double>(record.model.parameters) / static_cast<double>(softmax);
  record.environment = probe_environment(threads);
  record.notes = resolved.notes;
  return record;
}

void describe_dataset(reports::ResultRecord& record, const tasks::Dataset& dataset, const RunSplits& splits) {
  record.task.dataset_sha256 = dataset.manifest().dataset_sha256;
  record.task.dataset_parameters = tasks::parameters_json(dataset.manifest());
  if (dataset.manifest().seed) record.task.dataset_parameters["seed"] = *dataset.manifest().seed;
  record.task.split_sha256 = splits.sha256;
  record.task.train_examples = splits.train.size();
  record.task.validation_examples = splits.validation.size();
  record.task.test_examples = splits.test.size();
  for (const tasks::ShortcutBaseline& baseline : tasks::task_named(record.task.name).shortcut_baselines(dataset)) {
    if (baseline.name == "majority") {
      record.task.majority_baseline = baseline.accuracy;  // has a key of its own
    } else {
      record.task.shortcut_baselines[baseline.name] = baseline.accuracy;
    }
  }
}

void describe_memory(reports::ResultRecord& record, const Learner& learner) {
  record.memory = {.forecast_arena_bytes = learner.memory().arena_bytes,
                   .peak_arena_bytes = learner.arena_bytes(),
                   .peak_rss_bytes = peak_rss_bytes(),
                   .lane_gradient_bytes = learner.memory().lane_gradient_bytes};
  if (const int at_once = learner.memory().examples_at_once; learner.memory().is_short)
    record.notes.push_back(fmt::format("memory was short: {} at once, by {} threads together (the same numbers)",
                                       at_once == 1 ? "one example" : fmt::format("{} examples", at_once),
                                       learner.threads()));
  if (learner.model().activations() == engine::Activations::recomputed)
    record.notes.emplace_back(
        "memory was short: each layer was computed again in the backward pass (the same numbers)");
}

reports::StepTimeBlock step_times(std::span<const double> samples_ms) {
  return {.p50 = reports::quantile(samples_ms, 0.5),
          .p90 = reports::quantile(samples_ms, 0.9),
          .p99 = reports::quantile(samples_ms, 0.99)};
}

double measure_peak_gflops(engine::Workers& workers, double burst_s) {
  std::vector<double> gflops(static_cast<size_t>(workers.count()));
  workers.run([&](int worker) { gflops[static_cast<size_t>(worker)] = engine::onednn::measure_sgemm_gflops(burst_s); });
  double sum = 0;
  for (const double rate : gflops) sum += rate;
  return sum;
}

}  // namespace lra::harness
