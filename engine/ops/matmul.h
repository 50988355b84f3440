// Matrix products: batched with any transposition, and the affine map of a layer.
#pragma once

#include "engine/graph.h"

namespace lra::engine {

/// op(a) op(b), op transposing the last two axes where asked. a, b: rank 2 or 3; a rank-2 operand serves every matrix
/// of the other's batch. Returns [m, n], or [batch, m, n]. f32 by oneDNN in the fused form, otherwise by Eigen.
Var matmul(Var a, Var b, bool transpose_a = false, bool transpose_b = false);

/// x w + b for x: [n, in], w: [in, out], b: [out] (or not valid(): no bias). Returns [n, out].
Var linear(Var x, Var w, Var b);

}  // namespace lra::engine
