// The Gaussian error linear unit, alone and fused with the dropout that follows it in a feed-forward block.
#pragma once

#include <cstdint>

#include "engine/graph.h"

namespace lra::engine {

/// x Phi(x) with the error function, or its approximation x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))).
/// Source: Hendrycks and Gimpel 2016, section 2. PyTorch's default is `erf`, Flax's is `tanh`.
enum class Gelu : uint8_t { erf, tanh };

/// GELU of each element. x: any shape.
Var gelu(Var x, Gelu form);

/// dropout(gelu(x)) in one pass, forward and backward, where the graph is fused; the composition of the two elsewhere.
/// x: [rows, columns] or [planes, rows, columns]; `probability` and `site` as in dropout.h.
Var gelu_dropout(Var x, Gelu form, double probability, uint64_t site);

}  // namespace lra::engine
