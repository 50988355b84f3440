// Linear systems of a positive definite matrix by Newton's iteration for its inverse, for landmark attentions.
#pragma once

#include "engine/graph.h"

namespace lra::engine {

struct NewtonSolveParams {
  int64_t iterations = 20;
  double ridge = 0.01;  // added to the diagonal
};

/// Y U with Y ~ (P + ridge I)^-1 by V <- 2V - V (P + ridge I) V from V = 1.8 / s I, s the largest row sum of
/// |P + ridge I|, which bounds its largest eigenvalue. An eigenvalue l is inverted to a relative error of
/// (1 - 1.8 l / s)^(2^iterations): 20 iterations are enough, to the last bit, for any matrix whose s / l is below
/// 40,000. The gradient is that of the inverse, not that of the iterations (below that bound they are the same):
/// dU = Y dW and dP = -dU W^T for W = Y U.
/// p: [h, m, m], symmetric and positive semidefinite, u: [h, m, d]. Returns [h, m, d].
/// Source: Lu et al. 2021 (SOFT), its Newton-Raphson inverse and the gradient given for it, -Y^T G Y^T, which is the
/// same: G = dW U^T. Multiplied out that way each Y amplifies the rounding of the other's product. The authors start
/// from a multiple of P, which squares what l / s has to be small against: their 20 iterations leave a relative error
/// of one half where s / l is 1,650. A multiple of I is as good a start for a positive definite matrix, and converges.
Var newton_solve(Var p, Var u, const NewtonSolveParams& params);

}  // namespace lra::engine
