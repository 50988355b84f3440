// Softmax attention, of all keys or of near ones: its definition, and fused f32 kernels with memory linear in n.
#pragma once

#include <cstdint>

#include "engine/graph.h"

namespace lra::engine {

struct SoftmaxAttentionParams {
  double scale = 1.0;         // of the logits q.k, usually 1/sqrt(d_head)
  bool causal = false;        // key j visible to query i only when j <= i
  int64_t window = 0;         // ... only when |i - j| <= window; 0: any distance
  int64_t block_size = 0;     // ... only when i / block_size = j / block_size; 0: all one block
  double dropout = 0.0;       // of the weights, after the softmax; 0 outside training
  uint64_t dropout_site = 0;  // names the draw: the same site in the plain composition draws the same mask
};

/// softmax(scale q k^T, keys with mask 0 excluded) v, weights dropped and regenerated in the backward pass.
/// A row all of whose visible keys are masked is uniform over them, and passes no gradient to q and k: the logit of a
/// masked key is the constant -1e10. scale > 0. Tiles that no query sees cost nothing.
/// q: [h, n, d_head], k, v: [h, m, d_head], mask: [m] of 1 and 0; m = n where what is visible depends on i. Returns
/// [h, n, d_head]. f32 only. Throws: UsageError.
Var fused_softmax_attention(Var q, Var k, Var v, Var mask, const SoftmaxAttentionParams& params);

/// The same as a composition of plain operations, n x m weights and all: the definition, of any dtype.
Var plain_softmax_attention(Var q, Var k, Var v, Var mask, const SoftmaxAttentionParams& params);

/// The fused kernel where the graph is fused, the definition elsewhere.
Var softmax_attention(Var q, Var k, Var v, Var mask, const SoftmaxAttentionParams& params);

}  // namespace lra::engine
