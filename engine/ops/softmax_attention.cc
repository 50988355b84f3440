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

Problem::Problem(const KernelRequest& request, const SoftmaxAttentionParams& attention, TileSize tile)
    : heads(request.inputs[kQ].shape()[0]),
      n(request.inputs[kQ].shape()[1]),
      d_head(request.inputs[kQ].shape()[2]),
      queries(n, tile.rows),
      keys(n, tile.columns),
      params(attention),
      dropout_threshold(engine::dropout_threshold(attention.dropout)) {}

void Problem::plan(ScratchPlan& plan) {
  at_bias_ = plan.add_floats(n);
  at_tile_used_ = plan.add_floats(keys.count());
}

Visibility Problem::read_mask(const View& mask, std::byte* scratch) const {
  const float* values = mask.as<float>();
  Visibility visibility{.bias = floats_at(scratch, at_bias_), .tile_used = floats_at(scratch, at_tile_used_)};
  for (int64_t j = 0; j < n; ++j) {
    visibility.bias[j] = values[j] == 0.0F ? -std::numeric_limits<float>::infinity() : 0.0F;
  }
  const auto is_unmasked = [](float value) { return value != 0.0F; };
  for (int64_t j = 0; j < keys.count(); ++j) {
    const float* begin = values + keys[j].begin;
    visibility.tile_used[j] = std::any_of(begin, begin + keys[j].rows, is_unmasked) ? 1.0F : 0.0F;
  }
  const int64_t first_key = std::find_if(values, values + n, is_unmasked) - values;
  visibility.blind_rows = params.causal || first_key == n ? first_key : 0;
  return visibility;
}

SoftmaxTile Problem::tile(const Visibility& visibility, const RowBlock& rows, const RowBlock& columns) const {
  return {.rows = rows.rows,
          .columns = columns.rows,
          .row_stride = keys.block_rows(),
          .blind_rows = std::clamp<int64_t>(visibility.blind_rows - rows.begin, 0, rows.rows),
          .visible_columns = params.causal ? rows.begin - columns.begin + 1 : columns.rows,
          .visible_growth = params.causal ? 1 : 0,
          .scale = static_cast<float>(params.scale),
          .bias = visibility.bias + columns.begin};
}

DropoutWindow Problem::dropout(const ExampleKeys& example, int64_t head, const RowBlock& rows,
                               const RowBlock& columns) const {
  return {.key = dropout_key(example.seed, params.dropout_site, static_cast<uint64_t>(head)),
          .keys = example,
          .threshold = dropout_threshold,
          .scale = static_cast<float>(dropout_scale(dropout_threshold)),
          .row_begin = rows.begin,
          .rows = rows.rows,
          .column_begin = columns.begin,
          .columns = columns.rows};
}

bool Problem::any_weight(const Visibility& visibility, const RowBlock& rows, int64_t column_block) const {
  if (params.causal && keys[column_block].begin >= rows.begin + rows.rows) return false;
  return visibility.tile_used[column_block] != 0.0F || rows.begin < visibility.blind_rows;
}

}  // namespace softmax_attention

namespace {

using namespace softmax_attention;  // the names of the arguments

/// 2mnk over q k^T and weights v; half of it when causal.
int64_t forward_flops(const Shape& q, bool causal) {
  const int64_t pairs = causal ? q[1] * q[1] / 2 : q[1] * q[1];
  return 2 * 2 * q[0] * pairs * q[2];
}

/// An exponential, and with dropout a decision, for each weight.
Effort effort_of(const Shape& q, const SoftmaxAttentionParams& params) {
  const int64_t weights = q[0] * q[1] * (params.causal ? (q[1] + 1) / 2 : q[1]);
  return {.exponentials = weights, .draws = params.dropout > 0 ? weights : 0};
}

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
    inputs.insert(inputs.end(), {arguments.outputs[kO], arguments.outputs[kLogSums], output_gradient});
    const std::vector<Var> made = output_gradient.graph().apply(gradient_, inputs);
    for (const size_t index : {kQ, kK, kV}) {
      if (arguments.needed[index]) gradients[index] = made[index];
    }
    return gradients;
  }
  int64_t product_flops(std::span<const Type> inputs) const override {
    return forward_flops(inputs[kQ].shape, params_.causal);
  }
  Effort effort(std::span<const Type> inputs) const override { return effort_of(inputs[kQ].shape, params_); }

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
