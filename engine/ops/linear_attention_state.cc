// Bidirectional linear attention, the keys' half: S = sum_j g_j v_j^T and z = sum_j g_j, row by row, and its gradient.
#include <algorithm>
#include <array>

#include "engine/errors.h"
#include "engine/ops/linear_attention_kernels.h"

namespace lra::engine::linear_attention {
namespace {

enum StateInput : size_t { kStateK, kStateV, kStateMask, kStatePositions };
enum StateOutput : size_t { kS, kZ };
enum KeysInput : size_t { kKeysK, kKeysV, kKeysMask, kKeysDs, kKeysDz, kKeysPositions };
enum KeysOutput : size_t { kKeysDk, kKeysDv };

/// Adds the rows it is given to S and z.
class StateKernel final : public Kernel {
 public:
  StateKernel(const KernelRequest& request, const LinearAttentionParams& params)
      : map_(params.feature_map),
        size_(request.inputs[kStateK].shape(), *map_),
        blocks_(size_.n, kBlockRows),
        accumulate_{request.accumulate[kS], request.accumulate[kZ]} {
    const int64_t features = size_.features, v_stride = request.inputs[kStateV].stride(1);
    LRA_CHECK(request.outputs[kS].layout.is_contiguous(), "the state is one block a head");
    sum_keys_ = BlockProduct(blocks_, [&](int64_t rows) {
      return onednn::MatmulSpec{.m = features,
                                .n = size_.d_head,
                                .k = rows,
                                .a_row_stride = features,
                                .b_row_stride = v_stride,
                                .c_row_stride = size_.d_head,
                                .transpose_a = true,
                                .accumulate = true};
    });
    at_features_ = plan_.add_floats(blocks_.block_rows() * features);
    at_products_ = plan_.add_bytes(sum_keys_.scratch_bytes());
  }

  size_t scratch_bytes() const override { return plan_.bytes(); }

  void run(const KernelArguments& arguments) const override {
    const View &k = arguments.inputs[kStateK], &v = arguments.inputs[kStateV];
    const float* mask = arguments.inputs[kStateMask].as<float>();
    const RowPositions positions = positions_among(arguments, kStatePositions);
    float* g = floats_at(arguments.scratch, at_features_);
    for (int64_t head = 0; head < size_.heads; ++head) {
      float* s = row_of(arguments.outputs[kS], head, 0);
      float* z = vector_of(arguments.outputs[kZ], head);
      if (!accumulate_[kS]) std::fill_n(s, size_.features * size_.d_head, 0.0F);
      if (!accumulate_[kZ]) std::fill_n(z, size_.features, 0.0F);
      for (int64_t i = 0; i < blocks_.count(); ++i) {
        const auto [begin, rows] = blocks_[i];
        map_->forward(positions.from(begin), rows, size_.d_head, row_of(k, head, begin), k.stride(1), g);
        zero_masked_rows(mask + begin, rows, size_.features, g);
        add_row_sum(rows, size_.features, g, z);
        sum_keys_.run(rows, g, row_of(v, head, begin), s, arguments.scratch + at_products_);
      }
    }
  }

 private:
  std::shared_ptr<const FeatureMap> map_;
  Extents size_;
  RowBlocks blocks_;
  std::array<bool, 2> accumulate_;
  BlockProduct sum_keys_;  // S += g^T v
  ScratchPlan plan_;
  size_t at_features_ = 0;
  size_t at_products_ = 0;
};

/// dk and dv of the rows it is given, from the whole dS and dz.
class KeysGradientKernel final : public Kernel {
 public:
  KeysGradientKernel(const KernelRequest& request, const LinearAttentionParams& params)
      : map_(params.feature_map), size_(request.inputs[kKeysK].shape(), *map_), blocks_(size_.n, kBlockRows) {
    const int64_t features = size_.features, d_head = size_.d_head;
    const int64_t v_stride = request.inputs[kKeysV].stride(1), dv_stride = request.outputs[kKeysDv].stride(1);
    features_ = BlockProduct(blocks_, [&](int64_t rows) {
      return onednn::MatmulSpec{.m = rows,
                                .n = features,
                                .k = d_head,
                                .a_row_stride = v_stride,
                                .b_row_stride = d_head,
                                .c_row_stride = features,
                                .transpose_b = true,
                                .bias = true};
    });
    values_ = BlockProduct(blocks_, [&](int64_t rows) {
      return onednn::MatmulSpec{.m = rows,
                                .n = d_head,
                                .k = features,
                                .a_row_stride = features,
                                .b_row_stride = d_head,
                                .c_row_stride = dv_stride};
    });
    at_features_ = plan_.add_floats(blocks_.block_rows() * features);
    at_gradients_ = plan_.add_floats(blocks_.block_rows() * features);
    at_products_ = plan_.add_bytes(std::max(features_.scratch_bytes(), values_.scratch_bytes()));
  }

  size_t scratch_bytes() const override { return plan_.bytes(); }

  void run(const KernelArguments& arguments) const override {
    const View &k = arguments.inputs[kKeysK], &v = arguments.inputs[kKeysV];
    const View &dk = arguments.outputs[kKeysDk], &dv = arguments.outputs[kKeysDv];
    const float* mask = arguments.inputs[kKeysMask].as<float>();
    const RowPositions positions = positions_among(arguments, kKeysPositions);
    std::byte* products = arguments.scratch + at_products_;
    float* g = floats_at(arguments.scratch, at_features_);
    float* dg = floats_at(arguments.scratch, at_gradients_);
    for (int64_t head = 0; head < size_.heads; ++head) {
      const float* ds = row_of(arguments.inputs[kKeysDs], head, 0);
      const float* dz = vector_of(arguments.inputs[kKeysDz], head);
      for (int64_t i = 0; i < blocks_.count(); ++i) {
        const auto [begin, rows] = blocks_[i];
        map_->forward(positions.from(begin), rows, size_.d_head, row_of(k, head, begin), k.stride(1), g);
        zero_masked_rows(mask + begin, rows, size_.features, g);
        values_.run(rows, g, ds, row_of(dv, head, begin), products);
        features_.run(rows, row_of(v, head, begin), ds, dz, dg, products);
        zero_masked_rows(mask + begin, rows, size_.features, dg);
        map_->backward(positions.from(begin), rows, size_.d_head, row_of(k, head, begin), k.stride(1), dg,
                       row_of(dk, head, begin), dk.stride(1));
      }
    }
  }

 private:
  std::shared_ptr<const FeatureMap> map_;
  Extents size_;
  RowBlocks blocks_;
  BlockProduct features_;  // dg = v dS^T + dz
  BlockProduct values_;    // dv = g dS
  ScratchPlan plan_;
  size_t at_features_ = 0;
  size_t at_gradients_ = 0;
  size_t at_products_ = 0;
};

/// k, v, mask, dS, dz -> dk, dv.
class KeysGradientOp final : public Op {
 public:
  explicit KeysGradientOp(LinearAttentionParams params) : params_(std::move(params)) {}
  std::string_view name() const override { return "linear_attention_keys_gradient"; }
  std::vector<Type> infer(std::span<const Type> inputs) const override { return {inputs[kKeysK], inputs[kKeysV]}; }
  RowRoles row_roles(std::span<const Type> inputs) const override {
    return {with_positions_role({RowRole::rows, RowRole::rows, RowRole::rows, RowRole::whole, RowRole::whole}, inputs),
            {RowRole::rows, RowRole::rows}};
  }
  std::unique_ptr<Kernel> kernel(const KernelRequest& request) const override {
    return std::make_unique<KeysGradientKernel>(request, params_);
  }
  std::vector<Var> vjp(const VjpArguments&) const override { refuse_second_derivative(); }
  int64_t product_flops(std::span<const Type> inputs) const override {
    return 2 * product_flops_of(inputs[kKeysK].shape, *params_.feature_map);
  }
  Effort effort(std::span<const Type> inputs) const override {
    const Shape& rows = inputs[kKeysK].shape;
    const FeatureMap& map = *params_.feature_map;
    return {.products = {state_to_rows(rows, map), state_to_features(rows, map)}};
  }

 private:
  LinearAttentionParams params_;
};

/// k, v, mask -> S, z.
class StateOp final : public Op {
 public:
  explicit StateOp(LinearAttentionParams params) : params_(std::move(params)) {}
  std::string_view name() const override { return "linear_attention_state"; }
  bool accumulates(size_t) const override { return true; }
  std::vector<Type> infer(std::span<const Type> inputs) const override {
    const Shape& k = inputs[kStateK].shape;
    const int64_t features = params_.feature_map->features(k[2]);
    return {{Dtype::f32, {k[0], features, k[2]}}, {Dtype::f32, {k[0], features}}};
  }
  RowRoles row_roles(std::span<const Type> inputs) const override {
    return {std::vector(inputs.size(), RowRole::rows), {RowRole::summed, RowRole::summed}};
  }
  std::unique_ptr<Kernel> kernel(const KernelRequest& request) const override {
    return std::make_unique<StateKernel>(request, params_);
  }
  int64_t product_flops(std::span<const Type> inputs) const override {
    return product_flops_of(inputs[kStateK].shape, *params_.feature_map);
  }
  Effort effort(std::span<const Type> inputs) const override {
    const Shape& rows = inputs[kStateK].shape;
    const FeatureMap& map = *params_.feature_map;
    return {.products = {rows_to_state(rows, map)}};
  }

  std::vector<Var> vjp(const VjpArguments& arguments) const override {
    const std::span<const Var> inputs = arguments.inputs, gradients = arguments.output_gradients;
    LRA_CHECK(gradients[kS].valid() && gradients[kZ].valid(), "S and z are read together");
    const std::vector<Var> made = inputs[kStateK].graph().apply(
        std::make_shared<const KeysGradientOp>(params_),
        with_positions({inputs[kStateK], inputs[kStateV], inputs[kStateMask], gradients[kS], gradients[kZ]},
                       positions_among(inputs, kStatePositions)));
    std::vector<Var> wanted(inputs.size());
    wanted[kStateK] = made[kKeysDk];
    wanted[kStateV] = made[kKeysDv];
    return wanted;
  }

 private:
  LinearAttentionParams params_;
};

}  // namespace

State sum_keys(Var k, Var v, Var mask, const LinearAttentionParams& params, Var positions) {
  const std::vector<Var> made =
      k.graph().apply(std::make_shared<const StateOp>(params), with_positions({k, v, mask}, positions));
  return {made[kS], made[kZ]};
}

}  // namespace lra::engine::linear_attention
