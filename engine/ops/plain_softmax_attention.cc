// The definition of softmax attention.
#include "engine/ops/dropout.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/matmul.h"
#include "engine/ops/reduce.h"
#include "engine/ops/softmax_attention.h"

namespace lra::engine {
namespace {

constexpr double kMasked = -1e10;     // finite: a row without a single real key becomes uniform instead of NaN
constexpr double kInvisible = -1e30;  // below any sum with kMasked: an invisible key never counts

/// [n, n]: 0 where query i sees key j, kInvisible elsewhere.
Var visibility_bias(Graph& graph, int64_t n, const SoftmaxAttentionParams& params) {
  std::vector<double> bias(static_cast<size_t>(n * n), 0.0);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < n; ++j) {
      const bool future = params.causal && j > i;
      const bool far = params.window > 0 && (j > i ? j - i : i - j) > params.window;
      const bool elsewhere = params.block_size > 0 && i / params.block_size != j / params.block_size;
      if (future || far || elsewhere) bias[static_cast<size_t>(i * n + j)] = kInvisible;
    }
  return graph.constant("visibility_bias", {n, n}, std::move(bias));
}

}  // namespace

Var plain_softmax_attention(Var q, Var k, Var v, Var mask, const SoftmaxAttentionParams& params) {
  Var logits = affine(matmul(q, k, false, true), params.scale, 0);
  // Pads get exactly kMasked (not their logit plus it), so that a row of pads alone is uniform in every dtype.
  logits = add(multiply(logits, mask), affine(mask, -kMasked, kMasked));
  if (params.causal || params.window > 0 || params.block_size > 0)
    logits = add(logits, visibility_bias(q.graph(), q.shape()[1], params));
  return matmul(dropout(softmax(logits), params.dropout, params.dropout_site), v);
}

Var softmax_attention(Var q, Var k, Var v, Var mask, const SoftmaxAttentionParams& params) {
  return q.graph().use_fused() ? fused_softmax_attention(q, k, v, mask, params)
                               : plain_softmax_attention(q, k, v, mask, params);
}

}  // namespace lra::engine
