// Checkpoints: one safetensors file each, with everything that a run needs to go on bit for bit.
//
// Tensors: every parameter under its own name (docs/checkpoints.md), in a resumable one also opt/m/<name> and
// opt/v/<name>. Metadata: `format`, `config_hash`, `step`, and `state`, the RunState as JSON.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>

#include "engine/io/safetensors.h"
#include "engine/parameters.h"
#include "harness/learner.h"

namespace lra::harness {

/// The best evaluation so far.
struct BestEvaluation {
  int64_t step = 0;  // 0: none yet
  double accuracy = 0;
  double loss = 0;
};

/// What a run carries from step to step besides weights and moments.
struct RunState {
  int64_t step = 0;  // completed
  uint64_t metrics_bytes = 0;
  BestEvaluation best;
  double last_validation_accuracy = 0;
  double last_validation_loss = 0;
  Tally since_log;          // training examples since the last logged event
  Tally since_evaluation;   // … since the last evaluation
  Tally last_window;        // … between the last two evaluations: the record's training accuracy and loss
  Tally all;                // … of the whole run
  int64_t model_flops = 0;  // … of the whole run
  int64_t longest_rows = 0;
  double wall_s = 0;  // of all sessions of this run
};

/// Throws ResourceError.
void save_checkpoint(const std::filesystem::path& path, const std::string& config_hash, const RunState& state,
                     Learner& learner);
/// The weights alone. Throws ResourceError.
void save_weights(const std::filesystem::path& path, const std::string& config_hash, int64_t step, Learner& learner);

/// Throws DataError when the file's content is not what was written. Weights of other programs carry no digest and
/// pass.
void require_undamaged(const io::SafetensorsFile& file);

/// Restores weights, moments and state. Throws DataError for a damaged file, RunError for one of another configuration.
RunState load_checkpoint(const std::filesystem::path& path, const std::string& config_hash, Learner& learner);
/// The completed steps of a checkpoint. Throws as load_checkpoint().
int64_t checkpoint_step(const std::filesystem::path& path, const std::string& config_hash);
/// Restores the weights alone, from either kind of file. Throws as load_checkpoint().
void load_weights(const std::filesystem::path& path, const std::string& config_hash,
                  const engine::Parameters& parameters, std::span<float> weights);

}  // namespace lra::harness
