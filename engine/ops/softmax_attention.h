// Exact softmax attention tile by tile, memory linear in n: fused f32 kernels.
#pragma once

#include <cstdint>

#include "engine/graph.h"

namespace lra::engine {

struct SoftmaxAttentionParams {
  double scale = 1.0;         // of the logits q.k, usually 1/sqrt(d_head)
  bool causal = false;        // key j visible to query i only when j <= i
  double dropout = 0.0;       // of the weights, after the softmax; 0 outside training
  uint64_t dropout_site = 0;  // names the draw: the same site in the plain composition draws the same mask
};

/// softmax(scale q k^T, keys with mask 0 excluded) v, weights dropped and regenerated in the backward pass.
/// A row all of whose visible keys are masked is uniform over them (all n, or j <= i when causal), and passes no
/// gradient to q and k: the logit of a masked key is the constant -1e10. scale > 0. Throws: UsageError.
/// q, k, v: [h, n, d_head], mask: [n] of 1 and 0. Returns [h, n, d_head]. f32 only.
Var fused_softmax_attention(Var q, Var k, Var v, Var mask, const SoftmaxAttentionParams& params);

}  // namespace lra::engine
