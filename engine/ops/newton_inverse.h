// The inverse of a positive definite matrix by Newton's iteration, for landmark attentions.
#pragma once

#include "engine/graph.h"

namespace lra::engine {

struct NewtonInverseParams {
  int64_t iterations = 20;
  double ridge = 0.01;  // added to the diagonal
};

/// Y ~ (P + ridge I)^-1 by V <- 2V - V (P + ridge I) V from V = alpha (P + ridge I), alpha = 1.8 / s^2 with s the
/// largest row sum of |P + ridge I|, which bounds its largest eigenvalue. Directions of eigenvalues that are too small
/// for the iterations to reach stay below their true size. The gradient is that of the inverse, -Y^T G Y^T, not that of
/// the iterations.
/// p: [h, m, m], symmetric and positive semidefinite. Returns [h, m, m].
/// Source: Lu et al. 2021 (SOFT), its Newton-Raphson inverse and the gradient given for it. The authors' code takes s
/// and the starting value from P without the ridge; here both are of the matrix that is inverted, so that it converges
/// for any ridge.
Var newton_inverse(Var p, const NewtonInverseParams& params);

}  // namespace lra::engine
