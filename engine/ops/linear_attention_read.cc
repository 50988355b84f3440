// Bidirectional linear attention, the queries' half: o_i = f_i S / norm(f_i z), row by row, and its gradient.
#include <algorithm>
#include <array>

#include "engine/errors.h"
#include "engine/ops/linear_attention_kernels.h"

namespace lra::engine::linear_attention {
namespace {

enum ReadInput : size_t { kReadQ, kReadS, kReadZ, kReadPositions };
enum ReadOutput : size_t { kReadO, kReadDenominator };
enum SumsInput : size_t { kSumsQ, kSumsO, kSumsDenominator, kSumsDo, kSumsPositions };
enum SumsOutput : size_t { kSumsDs, kSumsDz, kSumsE };
enum QueriesInput : size_t {
  kQueriesQ,
  kQueriesS,
  kQueriesZ,
  kQueriesDenominator,
  kQueriesE,
  kQueriesDo,
  kQueriesPositions
};

/// o and the denominators before norm() of the rows it is given.
class ReadKernel final : public Kernel {
 public:
  ReadKernel(const KernelRequest& request, const LinearAttentionParams& params)
      : map_(params.feature_map),
        norm_(params),
        size_(request.inputs[kReadQ].shape(), *map_),
        blocks_(size_.n, kBlockRows) {
    const int64_t o_stride = request.outputs[kReadO].stride(1);
    read_ = BlockProduct(blocks_, [&](int64_t rows) {
      return onednn::MatmulSpec{.m = rows,
                                .n = size_.d_head,
                                .k = size_.features,
                                .a_row_stride = size_.features,
                                .b_row_stride = size_.d_head,
                                .c_row_stride = o_stride};
    });
    at_features_ = plan_.add_floats(blocks_.block_rows() * size_.features);
    at_products_ = plan_.add_bytes(read_.scratch_bytes());
  }

  size_t scratch_bytes() const override { return plan_.bytes(); }

  void run(const KernelArguments& arguments) const override {
    const View &q = arguments.inputs[kReadQ], &o = arguments.outputs[kReadO];
    const RowPositions positions = positions_among(arguments, kReadPositions);
    float* f = floats_at(arguments.scratch, at_features_);
    for (int64_t head = 0; head < size_.heads; ++head) {
      const float* s = row_of(arguments.inputs[kReadS], head, 0);
      const float* z = vector_of(arguments.inputs[kReadZ], head);
      for (int64_t i = 0; i < blocks_.count(); ++i) {
        const auto [begin, rows] = blocks_[i];
        float* denominators = vector_of(arguments.outputs[kReadDenominator], head) + begin;
        map_->forward(positions.from(begin), rows, size_.d_head, row_of(q, head, begin), q.stride(1), f);
        std::fill_n(denominators, rows, 0.0F);
        add_dot_products(rows, size_.features, f, z, denominators);
        read_.run(rows, f, s, row_of(o, head, begin), arguments.scratch + at_products_);
        normalize_rows(norm_, rows, size_.d_head, denominators, row_of(o, head, begin), o.stride(1));
      }
    }
  }

 private:
  std::shared_ptr<const FeatureMap> map_;
  Norm norm_;
  Extents size_;
  RowBlocks blocks_;
  BlockProduct read_;  // o = f S
  ScratchPlan plan_;
  size_t at_features_ = 0;
  size_t at_products_ = 0;
};

/// Adds the rows it is given to dS and dz; e_i = -(do_i o_i) / norm_i for whoever makes dq.
class SumsGradientKernel final : public Kernel {
 public:
  SumsGradientKernel(const KernelRequest& request, const LinearAttentionParams& params)
      : map_(params.feature_map),
        norm_(params),
        size_(request.inputs[kSumsQ].shape(), *map_),
        blocks_(size_.n, kBlockRows),
        accumulate_{request.accumulate[kSumsDs], request.accumulate[kSumsDz]} {
    LRA_CHECK(request.outputs[kSumsDs].layout.is_contiguous(), "the state's gradient is one block a head");
    sum_queries_ = BlockProduct(blocks_, [&](int64_t rows) {
      return onednn::MatmulSpec{.m = size_.features,
                                .n = size_.d_head,
                                .k = rows,
                                .a_row_stride = size_.features,
                                .b_row_stride = size_.d_head,
                                .c_row_stride = size_.d_head,
                                .transpose_a = true,
                                .accumulate = true};
    });
    at_features_ = plan_.add_floats(blocks_.block_rows() * size_.features);
    at_c_ = plan_.add_floats(blocks_.block_rows() * size_.d_head);
    at_products_ = plan_.add_bytes(sum_queries_.scratch_bytes());
  }

  size_t scratch_bytes() const override { return plan_.bytes(); }

  void run(const KernelArguments& arguments) const override {
    const View &q = arguments.inputs[kSumsQ], &o = arguments.inputs[kSumsO], &gradient = arguments.inputs[kSumsDo];
    const RowPositions positions = positions_among(arguments, kSumsPositions);
    float* f = floats_at(arguments.scratch, at_features_);
    float* c = floats_at(arguments.scratch, at_c_);
    for (int64_t head = 0; head < size_.heads; ++head) {
      float* ds = row_of(arguments.outputs[kSumsDs], head, 0);
      float* dz = vector_of(arguments.outputs[kSumsDz], head);
      if (!accumulate_[kSumsDs]) std::fill_n(ds, size_.features * size_.d_head, 0.0F);
      if (!accumulate_[kSumsDz]) std::fill_n(dz, size_.features, 0.0F);
      for (int64_t i = 0; i < blocks_.count(); ++i) {
        const auto [begin, rows] = blocks_[i];
        const float* denominators = vector_of(arguments.inputs[kSumsDenominator], head) + begin;
        float* e = vector_of(arguments.outputs[kSumsE], head) + begin;
        normalizer_gradient(norm_, rows, size_.d_head, denominators, {row_of(o, head, begin), o.stride(1)},
                            {row_of(gradient, head, begin), gradient.stride(1)}, c, e);
        map_->forward(positions.from(begin), rows, size_.d_head, row_of(q, head, begin), q.stride(1), f);
        sum_queries_.run(rows, f, c, ds, arguments.scratch + at_products_);
        add_weighted_row_sum(rows, size_.features, e, f, dz);
      }
    }
  }

 private:
  std::shared_ptr<const FeatureMap> map_;
  Norm norm_;
  Extents size_;
  RowBlocks blocks_;
  std::array<bool, 2> accumulate_;
  BlockProduct sum_queries_;  // dS += f^T c
  ScratchPlan plan_;
  size_t at_features_ = 0;
  size_t at_c_ = 0;
  size_t at_products_ = 0;
};

/// dq of the rows it is given.
class QueriesGradientKernel final : public Kernel {
 public:
  QueriesGradientKernel(const KernelRequest& request, const LinearAttentionParams& params)
      : map_(params.feature_map),
        norm_(params),
        size_(request.inputs[kQueriesQ].shape(), *map_),
        blocks_(size_.n, kBlockRows) {
    features_ = BlockProduct(blocks_, [&](int64_t rows) {
      return onednn::MatmulSpec{.m = rows,
                                .n = size_.features,
                                .k = size_.d_head,
                                .a_row_stride = size_.d_head,
                                .b_row_stride = size_.d_head,
                                .c_row_stride = size_.features,
                                .transpose_b = true};
    });
    at_gradients_ = plan_.add_floats(blocks_.block_rows() * size_.features);
    at_c_ = plan_.add_floats(blocks_.block_rows() * size_.d_head);
    at_products_ = plan_.add_bytes(features_.scratch_bytes());
  }

  size_t scratch_bytes() const override { return plan_.bytes(); }

  void run(const KernelArguments& arguments) const override {
    const View &q = arguments.inputs[kQueriesQ], &gradient = arguments.inputs[kQueriesDo];
    const View& dq = arguments.outputs[0];
    const RowPositions positions = positions_among(arguments, kQueriesPositions);
    float* df = floats_at(arguments.scratch, at_gradients_);
    float* c = floats_at(arguments.scratch, at_c_);
    for (int64_t head = 0; head < size_.heads; ++head) {
      const float* s = row_of(arguments.inputs[kQueriesS], head, 0);
      const float* z = vector_of(arguments.inputs[kQueriesZ], head);
      for (int64_t i = 0; i < blocks_.count(); ++i) {
        const auto [begin, rows] = blocks_[i];
        scale_rows(norm_, rows, size_.d_head, vector_of(arguments.inputs[kQueriesDenominator], head) + begin,
                   {row_of(gradient, head, begin), gradient.stride(1)}, c);
        features_.run(rows, c, s, df, arguments.scratch + at_products_);
        add_outer(rows, size_.features, vector_of(arguments.inputs[kQueriesE], head) + begin, z, df);
        map_->backward(positions.from(begin), rows, size_.d_head, row_of(q, head, begin), q.stride(1), df,
                       row_of(dq, head, begin), dq.stride(1));
      }
    }
  }

 private:
  std::shared_ptr<const FeatureMap> map_;
  Norm norm_;
  Extents size_;
  RowBlocks blocks_;
  BlockProduct features_;  // df = c S^T
  ScratchPlan plan_;
  size_t at_gradients_ = 0;
  size_t at_c_ = 0;
  size_t at_products_ = 0;
};

/// q, S, z, denominators, e, do -> dq.
class QueriesGradientOp final : public Op {
 public:
  explicit QueriesGradientOp(LinearAttentionParams params) : params_(std::move(params)) {}
  std::string_view name() const override { return "linear_attention_queries_gradient"; }
  std::vector<Type> infer(std::span<const Type> inputs) const override { return {inputs[kQueriesQ]}; }
  RowRoles row_roles(std::span<const Type> inputs) const override {
    return {with_positions_role(
                {RowRole::rows, RowRole::whole, RowRole::whole, RowRole::rows, RowRole::rows, RowRole::rows}, inputs),
            {RowRole::rows}};
  }
  std::unique_ptr<Kernel> kernel(const KernelRequest& request) const override {
    return std::make_unique<QueriesGradientKernel>(request, params_);
  }
  std::vector<Var> vjp(const VjpArguments&) const override { refuse_second_derivative(); }
  int64_t product_flops(std::span<const Type> inputs) const override {
    return product_flops_of(inputs[kQueriesQ].shape, *params_.feature_map);
  }
  Effort effort(std::span<const Type> inputs) const override {
    const Shape& rows = inputs[kQueriesQ].shape;
    const FeatureMap& map = *params_.feature_map;
    return {.products = {state_to_features(rows, map)}};
  }

 private:
  LinearAttentionParams params_;
};

/// q, o, denominators, do -> dS, dz, e.
class SumsGradientOp final : public Op {
 public:
  explicit SumsGradientOp(LinearAttentionParams params) : params_(std::move(params)) {}
  std::string_view name() const override { return "linear_attention_sums_gradient"; }
  bool accumulates(size_t index) const override { return index != kSumsE; }
  std::vector<Type> infer(std::span<const Type> inputs) const override {
    const Shape& q = inputs[kSumsQ].shape;
    const int64_t features = params_.feature_map->features(q[2]);
    return {{Dtype::f32, {q[0], features, q[2]}}, {Dtype::f32, {q[0], features}}, inputs[kSumsDenominator]};
  }
  RowRoles row_roles(std::span<const Type> inputs) const override {
    return {std::vector(inputs.size(), RowRole::rows), {RowRole::summed, RowRole::summed, RowRole::rows}};
  }
  std::unique_ptr<Kernel> kernel(const KernelRequest& request) const override {
    return std::make_unique<SumsGradientKernel>(request, params_);
  }
  std::vector<Var> vjp(const VjpArguments&) const override { refuse_second_derivative(); }
  int64_t product_flops(std::span<const Type> inputs) const override {
    return product_flops_of(inputs[kSumsQ].shape, *params_.feature_map);
  }
  Effort effort(std::span<const Type> inputs) const override {
    const Shape& rows = inputs[kSumsQ].shape;
    const FeatureMap& map = *params_.feature_map;
    return {.products = {rows_to_state(rows, map)}};
  }

 private:
  LinearAttentionParams params_;
};

/// q, S, z -> o, denominators: [h, n, 1].
class ReadOp final : public Op {
 public:
  explicit ReadOp(LinearAttentionParams params) : params_(std::move(params)) {}
  std::string_view name() const override { return "linear_attention_read"; }
  std::vector<Type> infer(std::span<const Type> inputs) const override {
    const Shape& q = inputs[kReadQ].shape;
    return {inputs[kReadQ], {Dtype::f32, {q[0], q[1], 1}}};
  }
  RowRoles row_roles(std::span<const Type> inputs) const override {
    return {with_positions_role({RowRole::rows, RowRole::whole, RowRole::whole}, inputs),
            {RowRole::rows, RowRole::rows}};
  }
  std::unique_ptr<Kernel> kernel(const KernelRequest& request) const override {
    return std::make_unique<ReadKernel>(request, params_);
  }
  int64_t product_flops(std::span<const Type> inputs) const override {
    return product_flops_of(inputs[kReadQ].shape, *params_.feature_map);
  }
  Effort effort(std::span<const Type> inputs) const override {
    const Shape& rows = inputs[kReadQ].shape;
    const FeatureMap& map = *params_.feature_map;
    return {.products = {state_to_rows(rows, map)}};
  }

  /// The sums first, in the pipeline that makes do; dq only where dk and dv are made, so that all three live for one
  /// block of rows.
  std::vector<Var> vjp(const VjpArguments& arguments) const override {
    const Var q = arguments.inputs[kReadQ], s = arguments.inputs[kReadS], z = arguments.inputs[kReadZ];
    const Var denominators = arguments.outputs[kReadDenominator], gradient = arguments.output_gradients[kReadO];
    const Var positions = positions_among(arguments.inputs, kReadPositions);
    const std::vector<Var> sums =
        q.graph().apply(std::make_shared<const SumsGradientOp>(params_),
                        with_positions({q, arguments.outputs[kReadO], denominators, gradient}, positions));
    arguments.defer(kReadQ, [=, e = sums[kSumsE], params = params_] {
      return q.graph().apply(std::make_shared<const QueriesGradientOp>(params),
                             with_positions({q, s, z, denominators, e, gradient}, positions))[0];
    });
    std::vector<Var> gradients(arguments.inputs.size());
    gradients[kReadS] = sums[kSumsDs];
    gradients[kReadZ] = sums[kSumsDz];
    return gradients;
  }

 private:
  LinearAttentionParams params_;
};

}  // namespace

Var read_state(Var q, const State& state, const LinearAttentionParams& params, Var positions) {
  return q.graph().apply(std::make_shared<const ReadOp>(params),
                         with_positions({q, state.s, state.z}, positions))[kReadO];
}

}  // namespace lra::engine::linear_attention
