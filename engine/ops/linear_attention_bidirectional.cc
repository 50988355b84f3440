// Bidirectional linear attention: one pass over the keys for S and z, one over the queries.
#include <algorithm>

#include "engine/errors.h"
#include "engine/ops/linear_attention_kernels.h"

namespace lra::engine::linear_attention {
namespace {

/// Features of a block stay in L2 together with what else a block touches.
constexpr int64_t kBlockRows = 256;

class Forward final : public Kernel {
 public:
  Forward(const KernelRequest& request, const LinearAttentionParams& params)
      : map_(params.feature_map), norm_(params), size_(request, *map_), blocks_(size_.n, kBlockRows) {
    const int64_t features = size_.features;
    const int64_t v_stride = request.inputs[kV].stride(1);
    const int64_t o_stride = request.outputs[kO].stride(1);
    LRA_CHECK(request.outputs[kS].layout.is_contiguous(), "the saved state is one block a head");
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
    read_ = BlockProduct(blocks_, [&](int64_t rows) {
      return onednn::MatmulSpec{.m = rows,
                                .n = size_.d_head,
                                .k = features,
                                .a_row_stride = features,
                                .b_row_stride = size_.d_head,
                                .c_row_stride = o_stride};
    });
    at_features_ = plan_.add_floats(blocks_.block_rows() * features);
    at_products_ = plan_.add_bytes(std::max(sum_keys_.scratch_bytes(), read_.scratch_bytes()));
  }

  size_t scratch_bytes() const override { return plan_.bytes(); }

  /// Heads are the inner loop: as windows on common rows they share the pages that a block brings in.
  void run(const KernelArguments& arguments) const override {
    for (int64_t head = 0; head < size_.heads; ++head) {
      std::fill_n(row_of(arguments.outputs[kS], head, 0), size_.features * size_.d_head, 0.0F);
      std::fill_n(vector_of(arguments.outputs[kZ], head), size_.features, 0.0F);
    }
    for (int64_t block = 0; block < blocks_.count(); ++block)
      for (int64_t head = 0; head < size_.heads; ++head) sum_keys(arguments, head, blocks_[block]);
    for (int64_t block = 0; block < blocks_.count(); ++block)
      for (int64_t head = 0; head < size_.heads; ++head) read(arguments, head, blocks_[block]);
  }

 private:
  /// Adds a block of keys to S and z of a head.
  void sum_keys(const KernelArguments& arguments, int64_t head, const RowBlock& block) const {
    const View& k = arguments.inputs[kK];
    const float* mask = arguments.inputs[kMask].as<float>();
    float* g = floats_at(arguments.scratch, at_features_);
    map_->forward(block.begin, block.rows, size_.d_head, row_of(k, head, block.begin), k.stride(1), g);
    zero_masked_rows(mask + block.begin, block.rows, size_.features, g);
    add_row_sum(block.rows, size_.features, g, vector_of(arguments.outputs[kZ], head));
    sum_keys_.run(block.rows, g, row_of(arguments.inputs[kV], head, block.begin),
                  row_of(arguments.outputs[kS], head, 0), arguments.scratch + at_products_);
  }

  /// Denominators and outputs of a block of queries.
  void read(const KernelArguments& arguments, int64_t head, const RowBlock& block) const {
    const View& q = arguments.inputs[kQ];
    const View& o = arguments.outputs[kO];
    const float* s = row_of(arguments.outputs[kS], head, 0);
    const float* z = vector_of(arguments.outputs[kZ], head);
    float* denominators = vector_of(arguments.outputs[kDenominator], head) + block.begin;
    float* f = floats_at(arguments.scratch, at_features_);
    map_->forward(block.begin, block.rows, size_.d_head, row_of(q, head, block.begin), q.stride(1), f);
    std::fill_n(denominators, block.rows, 0.0F);
    add_dot_products(block.rows, size_.features, f, z, denominators);
    read_.run(block.rows, f, s, row_of(o, head, block.begin), arguments.scratch + at_products_);
    normalize_rows(norm_, block.rows, size_.d_head, denominators, row_of(o, head, block.begin), o.stride(1));
  }

  std::shared_ptr<const FeatureMap> map_;
  Norm norm_;
  Extents size_;
  RowBlocks blocks_;
  BlockProduct sum_keys_;  // S += g^T v
  BlockProduct read_;      // o = f S
  ScratchPlan plan_;
  size_t at_features_ = 0;
  size_t at_products_ = 0;
};

class Backward final : public Kernel {
 public:
  Backward(const KernelRequest& request, const LinearAttentionParams& params)
      : map_(params.feature_map), norm_(params), size_(request, *map_), blocks_(size_.n, kBlockRows) {
    prepare_products(request);
    at_features_ = plan_.add_floats(blocks_.block_rows() * size_.features);
    at_feature_gradients_ = plan_.add_floats(blocks_.block_rows() * size_.features);
    at_c_ = plan_.add_floats(blocks_.block_rows() * size_.d_head);
    at_e_ = plan_.add_floats(blocks_.block_rows());
    at_ds_ = plan_.add_floats(size_.heads * size_.features * size_.d_head);
    at_dz_ = plan_.add_floats(size_.heads * size_.features);
    at_products_ = plan_.add_bytes(std::max({query_features_.scratch_bytes(), sum_queries_.scratch_bytes(),
                                             key_features_.scratch_bytes(), values_.scratch_bytes()}));
  }

  size_t scratch_bytes() const override { return plan_.bytes(); }

  void run(const KernelArguments& arguments) const override {
    std::fill_n(floats_at(arguments.scratch, at_ds_), size_.heads * size_.features * size_.d_head, 0.0F);
    std::fill_n(floats_at(arguments.scratch, at_dz_), size_.heads * size_.features, 0.0F);
    for (int64_t block = 0; block < blocks_.count(); ++block)
      for (int64_t head = 0; head < size_.heads; ++head) queries(arguments, head, blocks_[block]);
    for (int64_t block = 0; block < blocks_.count(); ++block)
      for (int64_t head = 0; head < size_.heads; ++head) keys(arguments, head, blocks_[block]);
  }

 private:
  /// Gradients of S and z of a head.
  float* ds_of(const KernelArguments& arguments, int64_t head) const {
    return floats_at(arguments.scratch, at_ds_) + head * size_.features * size_.d_head;
  }
  float* dz_of(const KernelArguments& arguments, int64_t head) const {
    return floats_at(arguments.scratch, at_dz_) + head * size_.features;
  }

  void prepare_products(const KernelRequest& request) {
    const int64_t features = size_.features;
    const int64_t d_head = size_.d_head;
    const int64_t v_stride = request.inputs[kV].stride(1);
    const int64_t dv_stride = request.outputs[kDv].stride(1);
    query_features_ = BlockProduct(blocks_, [&](int64_t rows) {
      return onednn::MatmulSpec{.m = rows,
                                .n = features,
                                .k = d_head,
                                .a_row_stride = d_head,
                                .b_row_stride = d_head,
                                .c_row_stride = features,
                                .transpose_b = true};
    });
    sum_queries_ = BlockProduct(blocks_, [&](int64_t rows) {
      return onednn::MatmulSpec{.m = features,
                                .n = d_head,
                                .k = rows,
                                .a_row_stride = features,
                                .b_row_stride = d_head,
                                .c_row_stride = d_head,
                                .transpose_a = true,
                                .accumulate = true};
    });
    key_features_ = BlockProduct(blocks_, [&](int64_t rows) {
      return onednn::MatmulSpec{.m = rows,
                                .n = features,
                                .k = d_head,
                                .a_row_stride = v_stride,
                                .b_row_stride = d_head,
                                .c_row_stride = features,
                                .transpose_b = true};
    });
    values_ = BlockProduct(blocks_, [&](int64_t rows) {
      return onednn::MatmulSpec{.m = rows,
                                .n = d_head,
                                .k = features,
                                .a_row_stride = features,
                                .b_row_stride = d_head,
                                .c_row_stride = dv_stride};
    });
  }

  /// dq of a block of queries; adds the block to dS and dz.
  void queries(const KernelArguments& arguments, int64_t head, const RowBlock& block) const {
    const View& q = arguments.inputs[kQ];
    const View& o = arguments.inputs[kSavedO];
    const View& output_gradient = arguments.inputs[kDo];
    const View& dq = arguments.outputs[kDq];
    const float* s = row_of(arguments.inputs[kSavedS], head, 0);
    const float* z = vector_of(arguments.inputs[kSavedZ], head);
    const float* denominators = vector_of(arguments.inputs[kSavedDenominator], head) + block.begin;
    std::byte* products = arguments.scratch + at_products_;
    float* f = floats_at(arguments.scratch, at_features_);
    float* df = floats_at(arguments.scratch, at_feature_gradients_);
    float* c = floats_at(arguments.scratch, at_c_);
    float* e = floats_at(arguments.scratch, at_e_);

    normalizer_gradient(norm_, block.rows, size_.d_head, denominators, {row_of(o, head, block.begin), o.stride(1)},
                        {row_of(output_gradient, head, block.begin), output_gradient.stride(1)}, c, e);
    map_->forward(block.begin, block.rows, size_.d_head, row_of(q, head, block.begin), q.stride(1), f);
    sum_queries_.run(block.rows, f, c, ds_of(arguments, head), products);
    add_weighted_row_sum(block.rows, size_.features, e, f, dz_of(arguments, head));
    query_features_.run(block.rows, c, s, df, products);
    add_outer(block.rows, size_.features, e, z, df);
    map_->backward(block.begin, block.rows, size_.d_head, row_of(q, head, block.begin), q.stride(1), df,
                   row_of(dq, head, block.begin), dq.stride(1));
  }

  /// dk and dv of a block of keys, from the finished dS and dz.
  void keys(const KernelArguments& arguments, int64_t head, const RowBlock& block) const {
    const View& k = arguments.inputs[kK];
    const View& dk = arguments.outputs[kDk];
    const float* mask = arguments.inputs[kMask].as<float>() + block.begin;
    const float* ds = ds_of(arguments, head);
    const float* dz = dz_of(arguments, head);
    std::byte* products = arguments.scratch + at_products_;
    float* g = floats_at(arguments.scratch, at_features_);
    float* dg = floats_at(arguments.scratch, at_feature_gradients_);

    map_->forward(block.begin, block.rows, size_.d_head, row_of(k, head, block.begin), k.stride(1), g);
    zero_masked_rows(mask, block.rows, size_.features, g);
    values_.run(block.rows, g, ds, row_of(arguments.outputs[kDv], head, block.begin), products);
    key_features_.run(block.rows, row_of(arguments.inputs[kV], head, block.begin), ds, dg, products);
    add_outer(block.rows, size_.features, nullptr, dz, dg);
    zero_masked_rows(mask, block.rows, size_.features, dg);
    map_->backward(block.begin, block.rows, size_.d_head, row_of(k, head, block.begin), k.stride(1), dg,
                   row_of(dk, head, block.begin), dk.stride(1));
  }

  std::shared_ptr<const FeatureMap> map_;
  Norm norm_;
  Extents size_;
  RowBlocks blocks_;
  BlockProduct query_features_;  // df = c S^T
  BlockProduct sum_queries_;     // dS += f^T c
  BlockProduct key_features_;    // dg = v dS^T
  BlockProduct values_;          // dv = g dS
  ScratchPlan plan_;
  size_t at_features_ = 0;
  size_t at_feature_gradients_ = 0;
  size_t at_c_ = 0;
  size_t at_e_ = 0;
  size_t at_ds_ = 0;
  size_t at_dz_ = 0;
  size_t at_products_ = 0;
};

}  // namespace

std::unique_ptr<Kernel> bidirectional_forward(const KernelRequest& request, const LinearAttentionParams& params) {
  return std::make_unique<Forward>(request, params);
}

std::unique_ptr<Kernel> bidirectional_backward(const KernelRequest& request, const LinearAttentionParams& params) {
  return std::make_unique<Backward>(request, params);
}

}  // namespace lra::engine::linear_attention
