// Element by element: unary functions, and binary ones with NumPy's broadcasting.
#pragma once

#include "engine/graph.h"

namespace lra::engine {

// Binary. Shapes are aligned at the last axis; an extent of 1 (or a missing axis) is repeated.
Var add(Var a, Var b);
Var subtract(Var a, Var b);
Var multiply(Var a, Var b);
Var divide(Var a, Var b);

// Unary.
/// scale * x + shift.
Var affine(Var x, double scale, double shift);
Var relu(Var x);
Var exp(Var x);
Var log(Var x);
Var sqrt(Var x);
Var square(Var x);
Var reciprocal(Var x);
Var tanh(Var x);
Var sigmoid(Var x);
/// x for x > 0, e^x - 1 otherwise (Clevert et al. 2015).
Var elu(Var x);
/// max(x, bound); no gradient where x <= bound.
Var clamp_min(Var x, double bound);
/// 1 where x > bound, else 0; not differentiable.
Var greater(Var x, double bound);

/// Sums over the axes along which `x` was broadcast to get here, back to `shape`.
Var sum_to(Var x, const Shape& shape);

}  // namespace lra::engine
