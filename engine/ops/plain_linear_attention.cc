#include "engine/ops/plain_linear_attention.h"

#include "engine/ops/elementwise.h"
#include "engine/ops/matmul.h"
#include "engine/ops/reduce.h"

namespace lra::engine {
namespace {

Var lower_triangle(Graph& graph, int64_t n) {
  std::vector<double> ones(static_cast<size_t>(n * n), 0.0);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j <= i; ++j) ones[static_cast<size_t>(i * n + j)] = 1.0;
  return graph.constant("lower_triangle", {n, n}, std::move(ones));
}

}  // namespace

Var plain_linear_attention(Var f, Var g, Var v, const PlainLinearParams& params) {
  Var weights = matmul(f, g, false, true);
  if (params.causal) weights = multiply(weights, lower_triangle(f.graph(), f.shape()[1]));
  const Var total = sum(weights, -1, true);
  const Var norm = params.normalizer == Normalizer::add_epsilon ? affine(total, 1, params.epsilon)
                                                                : clamp_min(total, params.epsilon);
  return divide(matmul(weights, v), norm);
}

}  // namespace lra::engine
