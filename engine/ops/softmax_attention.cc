#include "engine/ops/softmax_attention.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>

#include "engine/errors.h"
#include "engine/ops/dropout.h"
#include "engine/ops/softmax_attention_kernels.h"

namespace lra::engine {
namespace softmax_attention {

Problem::Problem(const KernelRequest& request, const SoftmaxAttentionParams& attention, int64_t strip_rows)
    : heads(request.inputs[kQ].shape()[0]),
      n(request.inputs[kQ].shape()[1]),
      d_head(request.inputs[kQ].shape()[2]),
      strips(n, strip_rows),
      keys(n, kTileColumns),
      params(attention),
      dropout_threshold(engine::dropout_threshold(attention.dropout)) {}

void Problem::plan(ScratchPlan& plan) {
  at_bias_ = plan.add_floats(keys.count() * tile_stride());
  at_tile_used_ = plan.add_floats(keys.count());
}

void Problem::prepare_mask(const View& mask, std::byte* shared) const {
  const float* values = mask.as<float>();
  float* used = floats_at(shared, at_tile_used_);
  for (int64_t j = 0; j < keys.count(); ++j) {
    const RowBlock tile = keys[j];
    float* bias = floats_at(shared, at_bias_) + j * tile_stride();
    used[j] = 0.0F;
    for (int64_t key = 0; key < tile.rows; ++key) {
      const bool is_masked = values[tile.begin + key] == 0.0F;
      bias[key] = is_masked ? -std::numeric_limits<float>::infinity() : 0.0F;
      if (!is_masked) used[j] = 1.0F;
    }
    std::fill(bias + tile.rows, bias + tile_stride(), -std::numeric_limits<float>::infinity());
  }
}

Visibility Problem::visibility(const View& mask, std::byte* shared) const {
  const float* values = mask.as<float>();
  const int64_t first_key = std::find_if(values, values + n, [](float value) { return value != 0.0F; }) - values;
  return {.bias = floats_at(shared, at_bias_),
          .tile_used = floats_at(shared, at_tile_used_),
          .blind_rows = params.causal || first_key == n ? first_key : 0};
}

SoftmaxTile Problem::tile(const Visibility& visibility, const ExampleKeys& example, int64_t head, const RowBlock& rows,
                          const RowBlock& columns) const {
  // What no row of the tile sees is left out.
  const int64_t last_visible = params.causal ? rows.begin + rows.rows - columns.begin : columns.rows;
  const int64_t used_columns = std::min(columns.rows, last_visible);
  return {.rows = rows.rows,
          .columns = used_columns,
          .row_stride = tile_stride(),
          .blind_rows = std::clamp<int64_t>(visibility.blind_rows - rows.begin, 0, rows.rows),
          .visible_columns = params.causal ? rows.begin - columns.begin + 1 : columns.rows,
          .visible_growth = params.causal ? 1 : 0,
          .scale = static_cast<float>(params.scale),
          .dropout = {.key = dropout_key(example.seed, params.dropout_site, static_cast<uint64_t>(head)),
                      .keys = example,
                      .threshold = dropout_threshold,
                      .scale = static_cast<float>(dropout_scale(dropout_threshold)),
                      .row_begin = rows.begin,
                      .rows = rows.rows,
                      .column_begin = columns.begin,
                      .columns = used_columns}};
}

bool Problem::any_weight(const Visibility& visibility, const RowBlock& rows, int64_t key_tile) const {
  if (params.causal && keys[key_tile].begin >= rows.begin + rows.rows) return false;
  return visibility.tile_used[key_tile] != 0.0F || rows.begin < visibility.blind_rows;
}

}  // namespace softmax_attention

namespace {

using namespace softmax_attention;  // the names of the arguments

/// 2mnk over q k^T and weights v; half of it when causal.
int64_t forward_flops(const Shape& q, bool causal) {
  const int64_t pairs = causal ? q[1] * q[1] / 2 : q[1] * q[1];
  return 2 * 2 * q[0] * pairs * q[2];
}

/// A power of 2, and with dropout a decision, for each weight.
Effort effort_of(const Shape& q, const SoftmaxAttentionParams& params) {
  const int64_t weights = q[0] * q[1] * (params.causal ? (q[1] + 1) / 2 : q[1]);
  return {.powers = weights, .draws = params.dropout > 0 ? weights : 0};
}

/// The products of the tiles, `flops` each kind.
struct TileShapes {
  int64_t rows, columns, d, flops;
  TileShapes(const Shape& q, int64_t strip_rows, bool causal)
      : rows(std::min(q[1], strip_rows)),
        columns(std::min(q[1], kTileColumns)),
        d(q[2]),
        flops(forward_flops(q, causal) / 2) {}
  /// [rows, columns] = a b^T.
  InnerProduct from_rows() const { return {.m = rows, .n = columns, .k = d, .transpose_b = true, .flops = flops}; }
  /// [rows, d] = tile b.
  InnerProduct to_queries() const { return {.m = rows, .n = d, .k = columns, .flops = flops}; }
  /// [columns, d] = tile^T b.
  InnerProduct to_keys() const { return {.m = columns, .n = d, .k = rows, .transpose_a = true, .flops = flops}; }
};

/// Inputs and outputs as BackwardInput and BackwardOutput say.
class SoftmaxAttentionGradientOp final : public Op {
 public:
  explicit SoftmaxAttentionGradientOp(const SoftmaxAttentionParams& params) : params_(params) {}

  std::string_view name() const override { return "softmax_attention_gradient"; }
  std::vector<Type> infer(std::span<const Type> inputs) const override { return {inputs[kQ], inputs[kK], inputs[kV]}; }
  std::unique_ptr<Kernel> kernel(const KernelRequest& request) const override {
    return backward_kernel(request, params_);
  }
  std::vector<Var> vjp(const VjpArguments&) const override {
    throw UsageError("[softmax_attention] the fused kernels have no second derivative", "use the plain kernels");
  }
  int64_t product_flops(std::span<const Type> inputs) const override {
    return 2 * forward_flops(inputs[kQ].shape, params_.causal);
  }
  Effort effort(std::span<const Type> inputs) const override {
    Effort effort = effort_of(inputs[kQ].shape, params_);
    effort.repeated_flops = forward_flops(inputs[kQ].shape, params_.causal) / 2;  // the logits
    const TileShapes tile(inputs[kQ].shape, kBackwardStripRows, params_.causal);
    effort.products = {tile.from_rows(), tile.from_rows(), tile.to_queries(), tile.to_keys(), tile.to_keys()};
    return effort;
  }

 private:
  SoftmaxAttentionParams params_;
};

/// Inputs and outputs as ForwardInput and ForwardOutput say.
class SoftmaxAttentionOp final : public Op {
 public:
  explicit SoftmaxAttentionOp(const SoftmaxAttentionParams& params)
      : params_(params), gradient_(std::make_shared<const SoftmaxAttentionGradientOp>(params)) {}

  std::string_view name() const override { return "softmax_attention"; }
  std::vector<Type> infer(std::span<const Type> inputs) const override {
    const Shape& q = inputs[kQ].shape;
    return {inputs[kQ], {Dtype::f32, {q[0], q[1]}}};
  }
  std::unique_ptr<Kernel> kernel(const KernelRequest& request) const override {
    return forward_kernel(request, params_);
  }
  std::vector<Var> vjp(const VjpArguments& arguments) const override {
    std::vector<Var> gradients(arguments.inputs.size());
    const Var& output_gradient = arguments.output_gradients[kO];
    if (!output_gradient.valid()) return gradients;
    std::vector<Var> inputs(arguments.inputs.begin(), arguments.inputs.end());
    inputs.insert(inputs.end(), {arguments.outputs[kO], arguments.outputs[kLog2Sums], output_gradient});
    const std::vector<Var> made = output_gradient.graph().apply(gradient_, inputs);
    for (const size_t index : {kQ, kK, kV}) {
      if (arguments.needed[index]) gradients[index] = made[index];
    }
    return gradients;
  }
  int64_t product_flops(std::span<const Type> inputs) const override {
    return forward_flops(inputs[kQ].shape, params_.causal);
  }
  Effort effort(std::span<const Type> inputs) const override {
    Effort effort = effort_of(inputs[kQ].shape, params_);
    const TileShapes tile(inputs[kQ].shape, kForwardStripRows, params_.causal);
    effort.products = {tile.from_rows(), tile.to_queries()};
    return effort;
  }

 private:
  SoftmaxAttentionParams params_;
  std::shared_ptr<const SoftmaxAttentionGradientOp> gradient_;
};

}  // namespace

Var fused_softmax_attention(Var q, Var k, Var v, Var mask, const SoftmaxAttentionParams& params) {
  const Shape& shape = q.shape();
  if (shape.rank() != 3 || !(k.shape() == shape) || !(v.shape() == shape) || !(mask.shape() == Shape{shape[1]})) {
    throw UsageError(fmt::format("[softmax_attention] q {} k {} v {} mask {} are not [h, n, d], three times, and [n]",
                                 shape.to_string(), k.shape().to_string(), v.shape().to_string(),
                                 mask.shape().to_string()));
  }
  for (const Var& var : {q, k, v, mask}) {
    if (var.dtype() != Dtype::f32) {
      throw UsageError(fmt::format("[softmax_attention] the fused kernels work on f32, not {}", to_string(var.dtype())),
                       "use the plain kernels");
    }
  }
  if (!(params.scale > 0)) {
    throw UsageError(fmt::format("[softmax_attention] scale {} is not positive", params.scale));
  }
  dropout_threshold(params.dropout);  // refuses what is no probability
  const std::array<Var, 4> inputs{q, k, v, mask};
  return q.graph().apply(std::make_shared<const SoftmaxAttentionOp>(params), inputs)[kO];
}

}  // namespace lra::engine
