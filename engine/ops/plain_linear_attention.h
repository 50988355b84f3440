// Attention as a product of features, by its O(n^2) definition: the oracle of every linear mechanism, in any dtype.
#pragma once

#include "engine/graph.h"
#include "engine/ops/linear_attention.h"

namespace lra::engine {

struct PlainLinearParams {
  Normalizer normalizer = Normalizer::add_epsilon;
  double epsilon = 1e-6;
  bool causal = false;
};

/// w_ij = f_i . g_j (0 for j > i when causal), o_i = sum_j w_ij v_j / norm(sum_j w_ij).
/// f, g: [h, n, features] (g already masked), v: [h, n, d_head]. Returns [h, n, d_head].
Var plain_linear_attention(Var f, Var g, Var v, const PlainLinearParams& params);

}  // namespace lra::engine
