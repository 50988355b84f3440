// What a training run is made of before its first step: examples, the name of its configuration, and its place.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "harness/examples.h"
#include "harness/presets.h"
#include "reports/record.h"
#include "tasks/dataset.h"

namespace lra::harness {

/// `resolved` with the defaults of the mechanism and the initial weights settled: the configuration hash, hence the
/// run's name, covers both. Throws UsageError, DataError.
ResolvedConfig completed(const ResolvedConfig& resolved);

struct RunInputs {
  /// `complete` is that, and outlives this as `dataset` does. Throws DataError for tokens outside of the vocabulary,
  /// UsageError for a data set without train or test examples.
  RunInputs(const TrainConfig& complete, const tasks::Dataset& dataset, const std::filesystem::path& out);

  std::filesystem::path last_checkpoint() const { return directory / "checkpoint" / "last.safetensors"; }
  std::filesystem::path best_checkpoint() const { return directory / "checkpoint" / "best.safetensors"; }
  std::filesystem::path result_file() const { return directory / "result.json"; }

  /// Of every sequence that is trained on, and of every one that is evaluated.
  std::vector<int64_t> train_lengths() const;
  std::vector<int64_t> evaluated_lengths() const;

  /// How the plug-in of the mechanism differs from that of the run in `directory`; empty where it does not.
  std::string changed_plugin() const;

  /// What to do about an earlier run in `directory`: the record of a finished one (resume), or nothing, to go on or to
  /// start afresh. Throws UsageError where neither was asked for, or where a finished one is of another build of
  /// the plug-in; DataError for a damaged record.
  std::optional<reports::ResultRecord> settle_earlier_run(bool resume, bool force) const;

  const TrainConfig& config;
  std::string config_hash;
  std::filesystem::path directory;
  RunSplits splits;
  SplitExamples train, validation, test;
};

}  // namespace lra::harness
