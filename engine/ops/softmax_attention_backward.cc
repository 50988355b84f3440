// Softmax attention backwards: tiles recomputed from q, k and the saved logarithms of the sums (Dao et al. 2022).
#include <algorithm>

#include "engine/ops/softmax_attention_kernels.h"

namespace lra::engine::softmax_attention {
namespace {

constexpr TileSize kTile{128, 256};
constexpr TileSize kCausalTile{128, 128};

class Backward final : public Kernel {
 public:
  Backward(const KernelRequest& request, const SoftmaxAttentionParams& params)
      : problem_(request, params, params.causal ? kCausalTile : kTile) {
    prepare_products(request);
    problem_.plan(plan_);
    const int64_t elements = problem_.queries.block_rows() * problem_.keys.block_rows();
    at_weights_ = plan_.add_floats(elements);
    at_gradients_ = plan_.add_floats(elements);
    at_dropped_ = problem_.dropout_threshold > 0 ? plan_.add_floats(elements) : at_weights_;
    at_dots_ = plan_.add_floats(problem_.n);
    size_t scratch = 0;
    for (const TileProduct* product : {&logits_, &weight_gradients_, &dq_, &dk_, &dv_}) {
      scratch = std::max(scratch, product->scratch_bytes());
    }
    at_products_ = plan_.add_bytes(scratch);
  }

  size_t scratch_bytes() const override { return plan_.bytes(); }

  void run(const KernelArguments& arguments) const override {
    const Visibility visibility = problem_.read_mask(arguments.inputs[kMask], arguments.scratch);
    for (int64_t head = 0; head < problem_.heads; ++head) {
      prepare_head(arguments, head);
      for (int64_t j = 0; j < problem_.keys.count(); ++j) {
        for (int64_t i = 0; i < problem_.queries.count(); ++i) {
          const RowBlock rows = problem_.queries[i];
          if (problem_.any_weight(visibility, rows, j)) tile(arguments, visibility, head, rows, problem_.keys[j]);
        }
      }
    }
  }

 private:
  void prepare_products(const KernelRequest& request) {
    const int64_t d = problem_.d_head;
    const int64_t tile_stride = problem_.keys.block_rows();
    const int64_t q = request.inputs[kQ].stride(1);
    const int64_t k = request.inputs[kK].stride(1);
    const int64_t v = request.inputs[kV].stride(1);
    const int64_t output_gradient = request.inputs[kDo].stride(1);
    const auto from_rows = [&](int64_t a, int64_t b) {  // [rows, columns] = a b^T
      return TileProduct(problem_.queries, problem_.keys, [=](int64_t rows, int64_t columns) {
        return onednn::MatmulSpec{.m = rows,
                                  .n = columns,
                                  .k = d,
                                  .a_row_stride = a,
                                  .b_row_stride = b,
                                  .c_row_stride = tile_stride,
                                  .transpose_b = true};
      });
    };
    const auto to_keys = [&](int64_t b, int64_t c) {  // [columns, d] += tile^T b
      return TileProduct(problem_.queries, problem_.keys, [=](int64_t rows, int64_t columns) {
        return onednn::MatmulSpec{.m = columns,
                                  .n = d,
                                  .k = rows,
                                  .a_row_stride = tile_stride,
                                  .b_row_stride = b,
                                  .c_row_stride = c,
                                  .transpose_a = true,
                                  .accumulate = true};
      });
    };
    logits_ = from_rows(q, k);
    weight_gradients_ = from_rows(output_gradient, v);
    dk_ = to_keys(q, request.outputs[kDk].stride(1));
    dv_ = to_keys(output_gradient, request.outputs[kDv].stride(1));
    dq_ = TileProduct(problem_.queries, problem_.keys, [&](int64_t rows, int64_t columns) {
      return onednn::MatmulSpec{.m = rows,
                                .n = d,
                                .k = columns,
                                .a_row_stride = tile_stride,
                                .b_row_stride = k,
                                .c_row_stride = request.outputs[kDq].stride(1),
                                .accumulate = true};
    });
  }

  /// Clears the gradients of a head, which tiles add to, and takes do_i . o_i of each row.
  void prepare_head(const KernelArguments& arguments, int64_t head) const {
    float* dots = floats_at(arguments.scratch, at_dots_);
    for (int64_t row = 0; row < problem_.n; ++row) {
      for (const size_t output : {kDq, kDk, kDv}) {
        std::fill_n(row_of(arguments.outputs[output], head, row), problem_.d_head, 0.0F);
      }
      const float* o = row_of(arguments.inputs[kSavedO], head, row);
      const float* output_gradient = row_of(arguments.inputs[kDo], head, row);
      float dot = 0;
#pragma omp simd reduction(+ : dot)
      for (int64_t a = 0; a < problem_.d_head; ++a) dot += o[a] * output_gradient[a];
      dots[row] = dot;
    }
  }

  void tile(const KernelArguments& arguments, const Visibility& visibility, int64_t head, const RowBlock& rows,
            const RowBlock& columns) const {
    const float* q = row_of(arguments.inputs[kQ], head, rows.begin);
    const float* k = row_of(arguments.inputs[kK], head, columns.begin);
    const float* v = row_of(arguments.inputs[kV], head, columns.begin);
    const float* output_gradient = row_of(arguments.inputs[kDo], head, rows.begin);
    const float* log_sums = vector_of(arguments.inputs[kSavedLogSums], head) + rows.begin;
    float* weights = floats_at(arguments.scratch, at_weights_);
    float* dropped = floats_at(arguments.scratch, at_dropped_);
    float* gradients = floats_at(arguments.scratch, at_gradients_);
    std::byte* products = arguments.scratch + at_products_;
    const SoftmaxTile tile = problem_.tile(visibility, rows, columns);
    const auto run = [&](const TileProduct& product, const float* a, const float* b, float* c) {
      product.run(rows.rows, columns.rows, a, b, c, products);
    };

    run(logits_, q, k, weights);
    softmax_tile_weights(tile, log_sums, weights);
    if (problem_.dropout_threshold > 0) {
      apply_dropout(problem_.dropout(arguments.keys, head, rows, columns), weights, tile.row_stride, dropped,
                    tile.row_stride);
    }
    run(dv_, dropped, output_gradient, row_of(arguments.outputs[kDv], head, columns.begin));
    run(weight_gradients_, output_gradient, v, gradients);
    softmax_tile_gradient(tile, weights, dropped, floats_at(arguments.scratch, at_dots_) + rows.begin, gradients);
    run(dq_, gradients, k, row_of(arguments.outputs[kDq], head, rows.begin));
    run(dk_, gradients, q, row_of(arguments.outputs[kDk], head, columns.begin));
  }

  Problem problem_;
  TileProduct logits_;            // s = q k^T
  TileProduct weight_gradients_;  // gradient of the dropped weights = do v^T
  TileProduct dq_;                // dq += ds k
  TileProduct dk_;                // dk += ds^T q
  TileProduct dv_;                // dv += dropped weights^T do
  ScratchPlan plan_;
  size_t at_weights_ = 0;
  size_t at_dropped_ = 0;
  size_t at_gradients_ = 0;
  size_t at_dots_ = 0;
  size_t at_products_ = 0;
};

}  // namespace

std::unique_ptr<Kernel> backward_kernel(const KernelRequest& request, const SoftmaxAttentionParams& params) {
  return std::make_unique<Backward>(request, params);
}

}  // namespace lra::engine::softmax_attention
