// The one training loop: steps, evaluations, checkpoints, the record.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "harness/checkpoint.h"
#include "harness/learner.h"
#include "harness/presets.h"
#include "harness/run_directory.h"
#include "reports/record.h"
#include "tasks/dataset.h"

namespace lra::harness {

struct TrainOptions {
  std::filesystem::path out = "runs";
  int threads = 1;
  bool resume = false;  // go on from the last checkpoint; a finished run is reported again
  bool force = false;   // start afresh where a run already is
  int64_t memory_limit_bytes = 0;
};

struct TrainOutcome {
  reports::ResultRecord record;
  std::filesystem::path directory;
  int signal = 0;  // that ended the run early, after a checkpoint
};

/// Trains `resolved` on `dataset` and writes config.json, metrics.jsonl, checkpoint/ and result.json into the run's
/// directory. A non-finite loss ends the run with status `diverged`.
/// Throws UsageError for a run that is already there (without resume or force) or in use, ResourceError,
/// RunError for a kernel of a plug-in that throws (checkpoints stay).
TrainOutcome train(const ResolvedConfig& resolved, const tasks::Dataset& dataset, const TrainOptions& options);

}  // namespace lra::harness
