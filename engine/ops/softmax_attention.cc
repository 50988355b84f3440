#include "engine/ops/softmax_attention.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>

#include "engine/errors.h"
#include "engine/ops/dropout.h"
#include "engine/ops/softmax_attention_kernels.h"

namespace lra::engine {
namespace softmax_kernels {
namespace {

Reach reach_of(const SoftmaxAttentionParams& params) {
  Reach reach;
  if (params.window > 0) reach.behind = reach.ahead = params.window;
  if (params.causal) reach.ahead = 0;
  if (params.block_size > 0) reach.block = params.block_size;
  return reach;
}

}  // namespace

Problem::Problem(const KernelRequest& request, const SoftmaxAttentionParams& attention, int64_t strip_rows)
    : heads(request.inputs[kQ].shape()[0]),
      n(request.inputs[kQ].shape()[1]),
      d_head(request.inputs[kQ].shape()[2]),
      reach(reach_of(attention)),
      strips(n, strip_rows),
      keys(request.inputs[kK].shape()[1], kTileColumns),
      params(attention),
      dropout_threshold(engine::dropout_threshold(attention.dropout)) {}

void Problem::plan(ScratchPlan& plan) {
  at_bias_ = plan.add_floats(keys.count() * tile_stride());
  at_tile_used_ = plan.add_floats(keys.count());
  at_blind_ = plan.add_floats(n + 1);
}

RowBlock Problem::tiles_of(const RowBlock& rows) const {
  const int64_t first = reach.begin(rows.begin) / keys.block_rows();
  const int64_t last = reach.end(rows.begin + rows.rows - 1) - 1;
  return {first, std::min(keys.count(), last / keys.block_rows() + 1) - first};
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
  // Two marks walk the keys: how many unmasked ones lie before what a query sees, and before its end.
  float* blind = floats_at(shared, at_blind_);
  const int64_t m = mask.shape()[0];
  int64_t begin = 0, end = 0, before_begin = 0, before_end = 0;
  blind[n] = 0.0F;
  for (int64_t i = 0; i < n; ++i) {
    for (; begin < std::min(m, reach.begin(i)); ++begin) before_begin += values[begin] != 0.0F ? 1 : 0;
    for (; end < std::min(m, reach.end(i)); ++end) before_end += values[end] != 0.0F ? 1 : 0;
    blind[i] = before_begin == before_end ? 1.0F : 0.0F;
    if (before_begin == before_end) blind[n] = 1.0F;
  }
}

Visibility Problem::visibility(std::byte* shared) const {
  const float* blind = floats_at(shared, at_blind_);
  return {.bias = floats_at(shared, at_bias_),
          .tile_used = floats_at(shared, at_tile_used_),
          .blind = blind[n] != 0.0F ? blind : nullptr};
}

SoftmaxTile Problem::tile(const Visibility& visibility, const ExampleKeys& example, int64_t head, const RowBlock& rows,
                          const RowBlock& columns) const {
  const int64_t seen = std::max<int64_t>(reach.begin(rows.begin) - columns.begin, 0);
  const int64_t first = seen / kPanelColumns * kPanelColumns;
  const int64_t end = std::min(columns.rows, reach.end(rows.begin + rows.rows - 1) - columns.begin);
  return {.rows = rows.rows,
          .columns = end - first,
          .row_stride = tile_stride(),
          .blind = visibility.blind == nullptr ? nullptr : visibility.blind + rows.begin,
          .reach = reach,
          .scale = static_cast<float>(params.scale),
          .dropout = {.key = dropout_key(example.seed, params.dropout_site, static_cast<uint64_t>(head)),
                      .keys = example,
                      .threshold = dropout_threshold,
                      .scale = static_cast<float>(dropout_scale(dropout_threshold)),
                      .row_begin = rows.begin,
                      .rows = rows.rows,
                      .column_begin = columns.begin + first,
                      .columns = end - first}};
}

bool Problem::any_weight(const Visibility& visibility, const RowBlock& rows, int64_t key_tile) const {
  const RowBlock tiles = tiles_of(rows);
  if (key_tile < tiles.begin || key_tile >= tiles.begin + tiles.rows) return false;
  if (visibility.tile_used[key_tile] != 0.0F) return true;
  if (visibility.blind == nullptr) return false;
  const float* blind = visibility.blind + rows.begin;
  return std::any_of(blind, blind + rows.rows, [](float is_blind) { return is_blind != 0.0F; });
}

}  // namespace softmax_kernels

namespace {

using namespace softmax_kernels;  // the names of the arguments

/// Queries times the keys that they see; half of all when causal.
int64_t pairs(const Shape& q, const Shape& k, const SoftmaxAttentionParams& params) {
  const Reach reach = reach_of(params);
  if (params.window == 0 && params.block_size == 0) return params.causal ? q[1] * q[1] / 2 : q[1] * k[1];
  int64_t seen = 0;
  for (int64_t i = 0; i < q[1]; ++i) seen += std::min(k[1], reach.end(i)) - reach.begin(i);
  return seen;
}

/// 2mnk over q k^T and weights v.
int64_t forward_flops(std::span<const Type> inputs, const SoftmaxAttentionParams& params) {
  const Shape &q = inputs[kQ].shape, &k = inputs[kK].shape;
  return 2 * 2 * q[0] * pairs(q, k, params) * q[2];
}

/// A power of 2, and with dropout a decision, for each weight.
Effort effort_of(std::span<const Type> inputs, const SoftmaxAttentionParams& params) {
  const Shape& q = inputs[kQ].shape;
  const int64_t weights = q[0] * pairs(q, inputs[kK].shape, params);
  return {.powers = weights, .draws = params.dropout > 0 ? weights : 0};
}

/// The products of the tiles, `flops` each kind.
struct TileShapes {
  int64_t rows, columns, d, flops;
  TileShapes(std::span<const Type> inputs, int64_t strip_rows, const SoftmaxAttentionParams& params)
      : rows(std::min(inputs[kQ].shape[1], strip_rows)),
        columns(std::min(inputs[kK].shape[1], kTileColumns)),
        d(inputs[kQ].shape[2]),
        flops(forward_flops(inputs, params) / 2) {}
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
  int64_t product_flops(std::span<const Type> inputs) const override { return 2 * forward_flops(inputs, params_); }
  Effort effort(std::span<const Type> inputs) const override {
    Effort effort = effort_of(inputs, params_);
    effort.repeated_flops = forward_flops(inputs, params_) / 2;  // the logits
    const TileShapes tile(inputs, kBackwardStripRows, params_);
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
  int64_t product_flops(std::span<const Type> inputs) const override { return forward_flops(inputs, params_); }
  Effort effort(std::span<const Type> inputs) const override {
    Effort effort = effort_of(inputs, params_);
    const TileShapes tile(inputs, kForwardStripRows, params_);
    effort.products = {tile.from_rows(), tile.to_queries()};
    return effort;
  }

 private:
  SoftmaxAttentionParams params_;
  std::shared_ptr<const SoftmaxAttentionGradientOp> gradient_;
};

}  // namespace

Var fused_softmax_attention(Var q, Var k, Var v, Var mask, const SoftmaxAttentionParams& params) {
  const Shape &shape = q.shape(), &keys = k.shape();
  if (shape.rank() != 3 || keys.rank() != 3 || keys[0] != shape[0] || keys[2] != shape[2] || !(v.shape() == keys) ||
      !(mask.shape() == Shape{keys[1]})) {
    throw UsageError(
        fmt::format("[softmax_attention] q {} k {} v {} mask {} are not [h, n, d], [h, m, d] twice, and "
                    "[m]",
                    shape.to_string(), keys.to_string(), v.shape().to_string(), mask.shape().to_string()));
  }
  if (params.window < 0 || params.block_size < 0 || (reach_of(params).is_limited() && keys[1] != shape[1])) {
    throw UsageError(fmt::format("[softmax_attention] causal {}, window {}, block_size {} for {} queries and {} keys",
                                 params.causal, params.window, params.block_size, shape[1], keys[1]),
                     "what is visible depends on positions only where there are as many keys as queries");
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
