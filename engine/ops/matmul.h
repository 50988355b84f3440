// Matrix products: batched with any transposition, and the affine map of a layer.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/graph.h"

namespace lra::engine {

/// op(a) op(b), op transposing the last two axes where asked. a, b: rank 2 or 3; a rank-2 operand serves every matrix
/// of the other's batch. Returns [m, n], or [batch, m, n]. f32 by oneDNN in the fused form, otherwise by Eigen.
Var matmul(Var a, Var b, bool transpose_a = false, bool transpose_b = false);

/// x w + b for x: [n, in], w: [in, out], b: [out] (or not valid(): no bias). Returns [n, out].
Var linear(Var x, Var w, Var b);

/// The same, cut into parts of `widths` columns (which add up to out), each in memory of its own: for results that are
/// read at different times. Their gradients are joined, so that those of x, w and b are one product each.
std::vector<Var> linear_parts(Var x, Var w, Var b, std::span<const int64_t> widths);

}  // namespace lra::engine
