#include "harness/run_inputs.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "engine/errors.h"
#include "harness/initial_weights.h"
#include "harness/model/model.h"
#include "harness/plugins.h"
#include "harness/run_directory.h"

namespace lra::harness {
namespace {

namespace fs = std::filesystem;

void add_lengths(const Examples& examples, std::vector<int64_t>& lengths) {
  for (int64_t i = 0; i < examples.size(); ++i)
    for (int input = 0; input < examples.inputs(); ++input) lengths.push_back(examples.length(i, input));
}

}  // namespace

ResolvedConfig completed(const ResolvedConfig& resolved) {
  ResolvedConfig complete = resolved;
  complete_attention_parameters(complete.config);
  settle_initial_weights(complete.config);
  return complete;
}

RunInputs::RunInputs(const TrainConfig& complete, const tasks::Dataset& dataset, const fs::path& out)
    : config(complete),
      config_hash(harness::config_hash(config, dataset.manifest().dataset_sha256)),
      directory(run_directory(out, {.task = config.task.name,
                                    .attention = config.attention.name,
                                    .sequence_length = config.sequence_length,
                                    .config_hash = config_hash,
                                    .seed = config.seed})),
      splits(run_splits(dataset, config.task.split_policy)),
      train(splits.train, config),
      validation(splits.validation, config),
      test(splits.test, config) {
  for (const tasks::SplitName split : tasks::kSplitNames) require_known_tokens(dataset, split);
  if (train.size() == 0 || test.size() == 0)
    throw UsageError(fmt::format("[train] the data set in {} has {} train and {} test examples",
                                 dataset.directory().string(), train.size(), test.size()),
                     "prepare one with both (`lra data info` shows what is there)");
}

std::vector<int64_t> RunInputs::train_lengths() const {
  std::vector<int64_t> lengths;
  add_lengths(train, lengths);
  return lengths;
}

std::vector<int64_t> RunInputs::evaluated_lengths() const {
  std::vector<int64_t> lengths;
  add_lengths(validation, lengths);
  add_lengths(test, lengths);
  return lengths;
}

std::string RunInputs::changed_plugin() const {
  const fs::path file = directory / "config.json";
  std::error_code error;
  if (!fs::exists(file, error)) return "";
  TrainConfig earlier;
  set_recorded(earlier, read_json(file), file.string());
  return harness::changed_plugin(earlier, config);
}

std::optional<reports::ResultRecord> RunInputs::settle_earlier_run(bool resume, bool force) const {
  const bool finished = fs::exists(result_file()), started = fs::exists(last_checkpoint());
  if (force) return std::nullopt;
  if (finished && resume) {
    if (const std::string change = changed_plugin(); !change.empty())
      throw UsageError(fmt::format("[train] {} holds a finished run: {}", directory.string(), change),
                       "load the build it was trained with, or give --force to train again with this one");
    try {
      return reports::record_from_json(read_json(result_file()));
    } catch (const reports::RecordError& error) {
      throw DataError(fmt::format("[train] {}: {}", result_file().string(), error.what()),
                      "remove the file and run again with --resume: the checkpoint is still there");
    }
  }
  if ((finished || started) && !resume)
    throw UsageError(
        fmt::format("[train] {} already holds a {} run", directory.string(), finished ? "finished" : "started"),
        "--resume goes on with it (or reports it again), --force starts afresh and replaces it");
  return std::nullopt;
}

}  // namespace lra::harness
