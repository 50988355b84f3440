// Attention as a product of feature maps, linear in n: fused f32 kernels, bidirectional and causal.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>

#include "engine/graph.h"
#include "engine/ops/row_positions.h"

namespace lra::engine {

/// A row-wise map of q and k to non-negative features, applied inside the kernels block by block.
class FeatureMap {
 public:
  virtual ~FeatureMap() = default;
  /// Width of the features for rows of width d_head.
  virtual int64_t features(int64_t d_head) const = 0;
  /// It is defined for positions below this.
  virtual int64_t positions() const { return std::numeric_limits<int64_t>::max(); }
  /// f: [rows, features] (contiguous) from x: [rows, d_head] with `row_stride`.
  virtual void forward(const RowPositions& positions, int64_t rows, int64_t d_head, const float* x, int64_t row_stride,
                       float* f) const = 0;
  /// dx = (d forward / d x)^T df, with x as in forward and df: [rows, features] (contiguous).
  virtual void backward(const RowPositions& positions, int64_t rows, int64_t d_head, const float* x, int64_t row_stride,
                        const float* df, float* dx, int64_t dx_row_stride) const = 0;
};

/// What keeps the denominator f(q_i) . sum_j g(k_j) away from zero.
enum class Normalizer { add_epsilon, clamp_min };

struct LinearAttentionParams {
  std::shared_ptr<const FeatureMap> feature_map;  // of q and of k
  Normalizer normalizer = Normalizer::add_epsilon;
  double epsilon = 1e-6;
  bool causal = false;
};

/// o_i = f(q_i)^T S / norm(f(q_i)^T z), S = sum_j g_j v_j^T, z = sum_j g_j, g_j = mask_j f(k_j); sums over j <= i when
/// causal (a running state in chunks; never an n x features x d_head tensor). norm(x) = x + epsilon, or
/// max(x, epsilon), through which no gradient passes where it clamps. Keys with mask 0 get exactly zero gradient.
/// q, k, v: [h, n, d_head], mask: [n] of 1 (real) and 0. `positions`: i32 [n], where the rows stand in their sequence,
/// each from 0 to below FeatureMap::positions() (which nothing checks); not valid where row i stands at i. Returns
/// [h, n, d_head]. f32 only. Throws: UsageError.
Var fused_linear_attention(Var q, Var k, Var v, Var mask, const LinearAttentionParams& params, Var positions = {});

}  // namespace lra::engine
