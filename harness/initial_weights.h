// Weights that a run starts from instead of those drawn from its seed: `lra train --init-from`.
#pragma once

#include <vector>

#include "engine/parameters.h"
#include "harness/config.h"

namespace lra::harness {

/// Makes `train.init_from` name a file, by its absolute path, and `train.init_sha256` its content; does nothing where
/// it is empty. A run directory stands for the weights that its record stands for. A file that is gone passes when its
/// SHA-256 is known: who resumes a run has no need of it.
/// Throws DataError for a missing file, and for one whose content is not what `train.init_sha256` says.
void settle_initial_weights(TrainConfig& config);

/// The tensors of `train.init_from`, flat as Parameters lays them out; moments of the optimiser in it are passed over.
/// Throws DataError for a missing or damaged file or a number that is not finite; RunError, naming the tensors, where
/// names or shapes are not those of `parameters`.
std::vector<float> read_initial_weights(const TrainConfig& config, const engine::Parameters& parameters);

}  // namespace lra::harness
