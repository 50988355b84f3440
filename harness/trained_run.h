// What a run directory gives to those who use its weights: its configuration, and where the weights are.
#pragma once

#include <filesystem>
#include <vector>

#include "engine/parameters.h"
#include "harness/config.h"
#include "harness/task_shape.h"

namespace lra::harness {

/// The configuration in `run`/config.json, complete and checked: the preset it came from may be gone.
/// Throws DataError when there is none; UsageError for keys or values that this program does not know.
TrainConfig config_of_run(const std::filesystem::path& run);

/// The weights that the run's record stands for: the best ones, or the last where the preset selects those.
/// Throws DataError when the run has none yet.
std::filesystem::path weights_of_run(const std::filesystem::path& run, const TrainConfig& config);

/// The shape of the task that the weights in `file` were trained on: its facts, and what the data decided (classes, the
/// vocabulary of characters or of one's own texts) from the sizes of the tensors. Throws DataError for a damaged file;
/// UsageError where neither says.
TaskShape shape_of_weights(const std::filesystem::path& file, const TrainConfig& config);

/// The tensors of a safetensors file that have the names of `parameters`, flat as Parameters lays them out; others are
/// passed over. They may be f32 or f64. Throws DataError for a damaged file or a missing tensor, RunError for a tensor
/// of another shape or type.
std::vector<double> read_weights(const std::filesystem::path& file, const engine::Parameters& parameters);

}  // namespace lra::harness
