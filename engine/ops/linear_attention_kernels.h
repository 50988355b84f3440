// Kernels of linear attention and the row loops they share; private to linear_attention*.cc.
//
// Per head, with f and g the features of q and of k (F of them), rows of masked keys of g zero:
//   S = sum_j g_j v_j^T: [F, d],  z = sum_j g_j: [F],  o_i = f_i S / norm(f_i z)
// and backwards, with c_i = do_i / norm_i and e_i = -(do_i o_i) / norm_i (0 where the norm clamps):
//   df_i = S c_i + e_i z,  dS = sum_i f_i c_i^T,  dz = sum_i e_i f_i,  dg_j = dS v_j + dz,  dv_j = g_j dS.
// When causal, the sums of forward run over j <= i and those of backward over i >= j.
#pragma once

#include <algorithm>
#include <memory>
#include <span>
#include <vector>

#include "engine/errors.h"
#include "engine/kernels/block_products.h"
#include "engine/op.h"
#include "engine/ops/linear_attention.h"

namespace lra::engine::linear_attention {

/// Features of a block stay in L2 together with what else a block touches.
inline constexpr int64_t kBlockRows = 256;
/// Products inside a chunk grow with its square, calls shrink with its size: measured at d_head 32.
inline constexpr int64_t kChunkRows = 64;

/// Inputs of the causal kernels: q, k, v: [h, n, d], mask: [n] and, last as in all operations here, the positions of
/// the rows where they are given. Outputs: o: [h, n, d], the denominators before norm(): [h, n].
enum ForwardInput : size_t { kQ, kK, kV, kMask, kPositions };
enum ForwardOutput : size_t { kO, kDenominator };
/// The causal backward kernels also get the outputs of forward and do.
enum BackwardInput : size_t { kSavedO = kMask + 1, kSavedDenominator, kDo, kBackwardPositions };
enum BackwardOutput : size_t { kDq, kDk, kDv };

std::unique_ptr<Kernel> causal_forward(const KernelRequest& request, const LinearAttentionParams& params);
std::unique_ptr<Kernel> causal_backward(const KernelRequest& request, const LinearAttentionParams& params);

/// S: [h, F, d] and z: [h, F].
struct State {
  Var s;
  Var z;
};

// The bidirectional form is two row-wise operations, so that each runs in the pipeline of its neighbours: the keys are
// summed where they are projected, and the queries read where the output is projected. All shapes as above, f32.
// `positions` may be not valid.
State sum_keys(Var k, Var v, Var mask, const LinearAttentionParams& params, Var positions);
Var read_state(Var q, const State& state, const LinearAttentionParams& params, Var positions);

/// What an operation is applied to: the positions last, where they are given.
inline std::vector<Var> with_positions(std::vector<Var> inputs, Var positions) {
  if (positions.valid()) inputs.push_back(positions);
  return inputs;
}

/// The positions among an operation's inputs, not valid() where they are not given: input `index` if there is one.
inline Var positions_among(std::span<const Var> inputs, size_t index) {
  return inputs.size() > index ? inputs[index] : Var();
}
/// The roles of `inputs`: those that are named and, of positions, rows.
inline std::vector<RowRole> with_positions_role(std::vector<RowRole> named, std::span<const Type> inputs) {
  named.resize(inputs.size(), RowRole::rows);
  return named;
}

/// 2mnk over one product of features and values: q: [h, n, d].
inline int64_t product_flops_of(const Shape& q, const FeatureMap& map) { return 2 * q.elements() * map.features(q[2]); }

// The products that the kernels make, block by block, of rows of `rows` at most.

/// [rows, d] = [rows, F] [F, d]: o = f S, dv = g dS.
inline InnerProduct state_to_rows(const Shape& q, const FeatureMap& map, int64_t rows = kBlockRows) {
  return {.m = std::min(rows, q[1]), .n = q[2], .k = map.features(q[2]), .flops = product_flops_of(q, map)};
}
/// [rows, F] = [rows, d] [F, d]^T: df = c S^T, dg = v dS^T.
inline InnerProduct state_to_features(const Shape& q, const FeatureMap& map, int64_t rows = kBlockRows) {
  return {.m = std::min(rows, q[1]),
          .n = map.features(q[2]),
          .k = q[2],
          .transpose_b = true,
          .flops = product_flops_of(q, map)};
}
/// [F, d] = [rows, F]^T [rows, d]: S = g^T v, dS = f^T c.
inline InnerProduct rows_to_state(const Shape& q, const FeatureMap& map, int64_t rows = kBlockRows) {
  return {.m = map.features(q[2]),
          .n = q[2],
          .k = std::min(rows, q[1]),
          .transpose_a = true,
          .flops = product_flops_of(q, map)};
}

[[noreturn]] inline void refuse_second_derivative() {
  throw UsageError("[linear_attention] the fused kernels have no second derivative", "use the plain kernels");
}

/// Extents of one problem.
struct Extents {
  int64_t heads, n, d_head, features;
  Extents(const Shape& q, const FeatureMap& map) : heads(q[0]), n(q[1]), d_head(q[2]), features(map.features(q[2])) {}
};

/// norm() in f32.
class Norm {
 public:
  explicit Norm(const LinearAttentionParams& params)
      : clamp_(params.normalizer == Normalizer::clamp_min), epsilon_(static_cast<float>(params.epsilon)) {}
  float reciprocal(float denominator) const {
    if (!clamp_) return 1.0F / (denominator + epsilon_);
    return 1.0F / (denominator < epsilon_ ? epsilon_ : denominator);
  }
  /// Whether a gradient reaches the denominator.
  bool passes(float denominator) const { return !clamp_ || !(denominator < epsilon_); }

 private:
  bool clamp_;
  float epsilon_;
};

/// Zeroes the rows of g: [rows, columns] whose mask is 0.
void zero_masked_rows(const float* mask, int64_t rows, int64_t columns, float* g);

/// z += sum over rows of g: [rows, columns].
void add_row_sum(int64_t rows, int64_t columns, const float* g, float* z);

/// x_i += weights_i * z for each row of x: [rows, columns]. `weights` may be null for weights of 1.
void add_outer(int64_t rows, int64_t columns, const float* weights, const float* z, float* x);

/// z += sum_i weights_i f_i for f: [rows, columns].
void add_weighted_row_sum(int64_t rows, int64_t columns, const float* weights, const float* f, float* z);

/// denominators_i += f_i z for f: [rows, columns].
void add_dot_products(int64_t rows, int64_t columns, const float* f, const float* z, float* denominators);

/// o_i /= norm(denominator_i): [rows, d] with row stride.
void normalize_rows(const Norm& norm, int64_t rows, int64_t d_head, const float* denominators, float* o,
                    int64_t row_stride);

/// Rows of o or do for the function below.
struct Rows {
  const float* data;
  int64_t row_stride;
};

/// c_i = do_i / norm_i: [rows, d] (contiguous).
void scale_rows(const Norm& norm, int64_t rows, int64_t d_head, const float* denominators, const Rows& output_gradient,
                float* c);

/// The same c, and e_i = -(do_i o_i) / norm_i, or 0 where the norm clamps.
void normalizer_gradient(const Norm& norm, int64_t rows, int64_t d_head, const float* denominators, const Rows& o,
                         const Rows& output_gradient, float* c, float* e);

}  // namespace lra::engine::linear_attention
