// Reverse-mode differentiation: adds the backward nodes of a scalar to its graph.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/graph.h"

namespace lra::engine {

/// What the backward pass reads of the forward pass: values as they were kept, or (the inputs of segments excepted) as
/// they are made again, which takes up to a third more work and a fraction of the memory. The same bits either way.
enum class Activations : uint8_t { kept, recomputed };

/// Adds to `graph` the nodes that carry `seed` (the gradient of some objective with respect to `output`, of its shape)
/// back through everything `output` depends on. Gradients of parameters go to accumulate_gradient; those with respect
/// to `wrt` are returned, in order (a zero constant where `output` does not depend on one).
std::vector<Var> add_gradients(Var output, Var seed, std::span<const Var> wrt = {},
                               Activations activations = Activations::kept);

}  // namespace lra::engine
