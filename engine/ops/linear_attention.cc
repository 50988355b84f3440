#include "engine/ops/linear_attention.h"

#include <fmt/format.h>

#include <utility>

#include "engine/errors.h"
#include "engine/ops/linear_attention_kernels.h"

namespace lra::engine {
namespace {

using namespace linear_attention;  // the names of the arguments

/// Inputs and outputs as BackwardInput and BackwardOutput say.
class CausalGradientOp final : public Op {
 public:
  explicit CausalGradientOp(LinearAttentionParams params) : params_(std::move(params)) {}

  std::string_view name() const override { return "causal_linear_attention_gradient"; }
  std::vector<Type> infer(std::span<const Type> inputs) const override { return {inputs[kQ], inputs[kK], inputs[kV]}; }
  std::unique_ptr<Kernel> kernel(const KernelRequest& request) const override {
    return causal_backward(request, params_);
  }
  std::vector<Var> vjp(const VjpArguments&) const override { refuse_second_derivative(); }
  int64_t product_flops(std::span<const Type> inputs) const override {
    return 4 * product_flops_of(inputs[kQ].shape, *params_.feature_map);
  }
  /// The products with the state; those inside a chunk are no part of the definition.
  Effort effort(std::span<const Type> inputs) const override {
    const Shape& rows = inputs[kQ].shape;
    const FeatureMap& map = *params_.feature_map;
    return {.products = {state_to_features(rows, map, kChunkRows), rows_to_state(rows, map, kChunkRows),
                         state_to_rows(rows, map, kChunkRows), state_to_features(rows, map, kChunkRows)}};
  }

 private:
  LinearAttentionParams params_;
};

/// Inputs and outputs as ForwardInput and ForwardOutput say.
class CausalOp final : public Op {
 public:
  explicit CausalOp(LinearAttentionParams params)
      : params_(std::move(params)), gradient_(std::make_shared<const CausalGradientOp>(params_)) {}

  std::string_view name() const override { return "causal_linear_attention"; }

  std::vector<Type> infer(std::span<const Type> inputs) const override {
    const Shape& q = inputs[kQ].shape;
    return {inputs[kQ], {Dtype::f32, {q[0], q[1]}}};
  }

  std::unique_ptr<Kernel> kernel(const KernelRequest& request) const override {
    return causal_forward(request, params_);
  }

  std::vector<Var> vjp(const VjpArguments& arguments) const override {
    std::vector<Var> gradients(arguments.inputs.size());
    const Var& output_gradient = arguments.output_gradients[kO];
    if (!output_gradient.valid()) return gradients;
    std::vector<Var> inputs(arguments.inputs.begin(), arguments.inputs.begin() + kPositions);
    inputs.insert(inputs.end(), {arguments.outputs[kO], arguments.outputs[kDenominator], output_gradient});
    inputs = with_positions(std::move(inputs), positions_among(arguments.inputs, kPositions));
    const std::vector<Var> made = output_gradient.graph().apply(gradient_, inputs);
    for (const size_t index : {kQ, kK, kV}) {
      if (arguments.needed[index]) gradients[index] = made[index];
    }
    return gradients;
  }

  int64_t product_flops(std::span<const Type> inputs) const override {
    return 2 * product_flops_of(inputs[kQ].shape, *params_.feature_map);
  }
  /// The products with the state; those inside a chunk are no part of the definition.
  Effort effort(std::span<const Type> inputs) const override {
    const Shape& rows = inputs[kQ].shape;
    const FeatureMap& map = *params_.feature_map;
    return {.products = {state_to_rows(rows, map, kChunkRows), rows_to_state(rows, map, kChunkRows)}};
  }

 private:
  LinearAttentionParams params_;
  std::shared_ptr<const CausalGradientOp> gradient_;
};

}  // namespace

Var fused_linear_attention(Var q, Var k, Var v, Var mask, const LinearAttentionParams& params, Var positions) {
  const Shape& shape = q.shape();
  if (shape.rank() != 3 || !(k.shape() == shape) || !(v.shape() == shape) || !(mask.shape() == Shape{shape[1]})) {
    throw UsageError(fmt::format("[linear_attention] q {} k {} v {} mask {} are not [h, n, d], three times, and [n]",
                                 shape.to_string(), k.shape().to_string(), v.shape().to_string(),
                                 mask.shape().to_string()));
  }
  for (const Var& var : {q, k, v, mask}) {
    if (var.dtype() != Dtype::f32) {
      throw UsageError(fmt::format("[linear_attention] the fused kernels work on f32, not {}", to_string(var.dtype())),
                       "use the plain kernels");
    }
  }
  LRA_CHECK(params.feature_map != nullptr, "linear attention without a feature map");
  if (positions.valid() && (positions.dtype() != Dtype::i32 || !(positions.shape() == mask.shape()))) {
    throw UsageError(fmt::format("[linear_attention] positions {} {} are not i32 {}", to_string(positions.dtype()),
                                 positions.shape().to_string(), mask.shape().to_string()));
  }
  if (!positions.valid() && shape[1] > params.feature_map->positions()) {
    throw UsageError(fmt::format("[linear_attention] n = {} exceeds the {} positions of the feature map", shape[1],
                                 params.feature_map->positions()),
                     "raise the nominal length");
  }
  if (!params.causal) return read_state(q, sum_keys(k, v, mask, params, positions), params, positions);
  return q.graph().apply(std::make_shared<const CausalOp>(params), with_positions({q, k, v, mask}, positions))[kO];
}

}  // namespace lra::engine
