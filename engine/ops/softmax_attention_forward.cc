// Softmax attention forwards: for a block of queries, all keys tile by tile with a running maximum.
#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/ops/softmax_attention_kernels.h"

namespace lra::engine::softmax_attention {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

TileSize tile_size(const SoftmaxAttentionParams& params) {
  // A causal tile on the diagonal is half wasted, so it is smaller.
  return params.causal ? TileSize{128, 128} : TileSize{128, 512};
}

class Forward final : public Kernel {
 public:
  Forward(const KernelRequest& request, const SoftmaxAttentionParams& params)
      : problem_(request, params, tile_size(params)) {
    const int64_t d = problem_.d_head;
    const int64_t tile_stride = problem_.keys.block_rows();
    const int64_t q_stride = request.inputs[kQ].stride(1);
    const int64_t k_stride = request.inputs[kK].stride(1);
    const int64_t v_stride = request.inputs[kV].stride(1);
    const int64_t o_stride = request.outputs[kO].stride(1);
    logits_ = TileProduct(problem_.queries, problem_.keys, [&](int64_t rows, int64_t columns) {
      return onednn::MatmulSpec{.m = rows,
                                .n = columns,
                                .k = d,
                                .a_row_stride = q_stride,
                                .b_row_stride = k_stride,
                                .c_row_stride = tile_stride,
                                .transpose_b = true};
    });
    attend_ = TileProduct(problem_.queries, problem_.keys, [&](int64_t rows, int64_t columns) {
      return onednn::MatmulSpec{.m = rows,
                                .n = d,
                                .k = columns,
                                .a_row_stride = tile_stride,
                                .b_row_stride = v_stride,
                                .c_row_stride = o_stride,
                                .accumulate = true};
    });
    problem_.plan(plan_);
    const int64_t rows = problem_.queries.block_rows();
    at_tile_ = plan_.add_floats(rows * tile_stride);
    for (size_t* place : {&at_maxima_, &at_sums_, &at_factors_}) *place = plan_.add_floats(rows);
    at_products_ = plan_.add_bytes(std::max(logits_.scratch_bytes(), attend_.scratch_bytes()));
  }

  size_t scratch_bytes() const override { return plan_.bytes(); }

  void run(const KernelArguments& arguments) const override {
    const Visibility visibility = problem_.read_mask(arguments.inputs[kMask], arguments.scratch);
    for (int64_t head = 0; head < problem_.heads; ++head) {
      for (int64_t i = 0; i < problem_.queries.count(); ++i) {
        query_block(arguments, visibility, head, problem_.queries[i]);
      }
    }
  }

 private:
  void query_block(const KernelArguments& arguments, const Visibility& visibility, int64_t head,
                   const RowBlock& rows) const {
    const View& o = arguments.outputs[kO];
    float* out = row_of(o, head, rows.begin);
    float* maxima = floats_at(arguments.scratch, at_maxima_);
    float* sums = floats_at(arguments.scratch, at_sums_);
    std::fill_n(maxima, rows.rows, -kInfinity);
    std::fill_n(sums, rows.rows, 0.0F);
    for (int64_t row = 0; row < rows.rows; ++row) std::fill_n(out + row * o.stride(1), problem_.d_head, 0.0F);
    for (int64_t j = 0; j < problem_.keys.count(); ++j) {
      if (problem_.any_weight(visibility, rows, j)) tile(arguments, visibility, head, rows, problem_.keys[j]);
    }
    float* log_sums = vector_of(arguments.outputs[kLogSums], head) + rows.begin;
    for (int64_t row = 0; row < rows.rows; ++row) {
      log_sums[row] = maxima[row] + std::log(sums[row]);
      const float scale = 1.0F / sums[row];
      float* at = out + row * o.stride(1);
#pragma omp simd
      for (int64_t a = 0; a < problem_.d_head; ++a) at[a] *= scale;
    }
  }

  /// Adds a tile of keys to the running sums of a block of queries.
  void tile(const KernelArguments& arguments, const Visibility& visibility, int64_t head, const RowBlock& rows,
            const RowBlock& columns) const {
    const View& o = arguments.outputs[kO];
    float* out = row_of(o, head, rows.begin);
    float* weights = floats_at(arguments.scratch, at_tile_);
    float* factors = floats_at(arguments.scratch, at_factors_);
    std::byte* products = arguments.scratch + at_products_;
    const SoftmaxTile tile = problem_.tile(visibility, rows, columns);

    logits_.run(rows.rows, columns.rows, row_of(arguments.inputs[kQ], head, rows.begin),
                row_of(arguments.inputs[kK], head, columns.begin), weights, products);
    softmax_tile_forward(tile, weights, floats_at(arguments.scratch, at_maxima_),
                         floats_at(arguments.scratch, at_sums_), factors);
    if (problem_.dropout_threshold > 0) {
      multiply_dropout(problem_.dropout(arguments.keys, head, rows, columns), weights, tile.row_stride);
    }
    for (int64_t row = 0; row < rows.rows; ++row) {
      float* at = out + row * o.stride(1);
#pragma omp simd
      for (int64_t a = 0; a < problem_.d_head; ++a) at[a] *= factors[row];
    }
    attend_.run(rows.rows, columns.rows, weights, row_of(arguments.inputs[kV], head, columns.begin), out, products);
  }

  Problem problem_;
  TileProduct logits_;  // s = q k^T
  TileProduct attend_;  // o += weights v
  ScratchPlan plan_;
  size_t at_tile_ = 0;
  size_t at_maxima_ = 0;
  size_t at_sums_ = 0;
  size_t at_factors_ = 0;
  size_t at_products_ = 0;
};

}  // namespace

std::unique_ptr<Kernel> forward_kernel(const KernelRequest& request, const SoftmaxAttentionParams& params) {
  return std::make_unique<Forward>(request, params);
}

}  // namespace lra::engine::softmax_attention
