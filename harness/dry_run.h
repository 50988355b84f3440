// What a training would do, found out without writing anything: `lra train --dry-run`.
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "harness/learner.h"
#include "harness/presets.h"
#include "harness/trainer.h"
#include "tasks/dataset.h"

namespace lra::harness {

/// Seconds, from a few steps and one batch of evaluation on the run's own first examples.
struct TimeEstimate {
  double start_up_s = 0;
  double step_s = 0;        // of a batch of mean length
  double validation_s = 0;  // one evaluation of all examples
  double test_s = 0;
  double total_s = 0;  // of what is left of the run
};

struct DryRun {
  TrainConfig config;
  std::vector<std::string> notes;
  std::string config_hash;
  std::filesystem::path directory;
  std::string effect;  // on that directory, in a sentence
  std::filesystem::path data;
  std::string dataset_sha256;
  int64_t train_examples = 0, validation_examples = 0, test_examples = 0;
  int64_t parameters = 0;
  int64_t steps_done = 0;
  int64_t evaluations_left = 0;  // of the validation examples
  int threads = 1;
  MemoryForecast memory;
  int64_t available_bytes = 0;
  bool recomputed = false;  // activations, for want of memory
  TimeEstimate time;
  int64_t steps_left() const { return config.train.steps - steps_done; }
};

/// Goes as far as train() with the same arguments would before its first step, makes the plans, takes the memory, and
/// times a few steps whose results are dropped. Throws what train() would throw up to there.
DryRun dry_run(const ResolvedConfig& resolved, const tasks::Dataset& dataset, const TrainOptions& options);

/// For people, at most `width` columns wide; ends with the configuration, one key=value a line.
std::string dry_run_report(const DryRun& run, int width);

/// `configuration` in it is what config.json would be.
nlohmann::ordered_json to_json(const DryRun& run);

}  // namespace lra::harness
