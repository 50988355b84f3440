// Causal linear attention: a state of F x d carried from chunk to chunk, rows x rows products inside a chunk.
#include <algorithm>

#include "engine/ops/linear_attention_kernels.h"

namespace lra::engine::linear_attention {
namespace {

/// Zeroes what lies above the diagonal of a: [rows, rows] and, unless null, sums each row.
void keep_lower_triangle(int64_t rows, float* a, float* sums) {
  for (int64_t row = 0; row < rows; ++row, a += rows) {
    std::fill(a + row + 1, a + rows, 0.0F);
    if (sums == nullptr) continue;
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j <= row; ++j) sum += a[j];
    sums[row] = sum;
  }
}

/// a_ij += e_i on and below the diagonal of a: [rows, rows], zero above.
void add_to_lower_triangle(int64_t rows, const float* e, float* a) {
  for (int64_t row = 0; row < rows; ++row, a += rows) {
    const float value = e[row];
#pragma omp simd
    for (int64_t j = 0; j <= row; ++j) a[j] += value;
    std::fill(a + row + 1, a + rows, 0.0F);
  }
}

/// An operand of a product as it lies in memory.
struct Operand {
  int64_t row_stride;
  bool transpose = false;
};

enum class Write : bool { overwrite, accumulate };

/// c: [m, n] = op(a) op(b), where extents equal to kChunk stand for the rows of a chunk.
constexpr int64_t kChunk = -1;
BlockProduct chunk_product(const RowBlocks& chunks, int64_t m, int64_t n, int64_t k, Operand a, Operand b,
                           int64_t c_row_stride, Write write) {
  return BlockProduct(chunks, [&](int64_t rows) {
    const auto extent = [&](int64_t value) { return value == kChunk ? rows : value; };
    return onednn::MatmulSpec{.m = extent(m),
                              .n = extent(n),
                              .k = extent(k),
                              .a_row_stride = extent(a.row_stride),
                              .b_row_stride = extent(b.row_stride),
                              .c_row_stride = extent(c_row_stride),
                              .transpose_a = a.transpose,
                              .transpose_b = b.transpose,
                              .accumulate = write == Write::accumulate};
  });
}

class Forward final : public Kernel {
 public:
  Forward(const KernelRequest& request, const LinearAttentionParams& params)
      : map_(params.feature_map),
        norm_(params),
        size_(request.inputs[kQ].shape(), *map_),
        chunks_(size_.n, kChunkRows) {
    const int64_t features = size_.features;
    const int64_t d = size_.d_head;
    const int64_t v_stride = request.inputs[kV].stride(1);
    const int64_t o_stride = request.outputs[kO].stride(1);
    weights_ = chunk_product(chunks_, kChunk, kChunk, features, {features}, {features, true}, kChunk, Write::overwrite);
    read_ = chunk_product(chunks_, kChunk, d, features, {features}, {d}, o_stride, Write::overwrite);
    attend_ = chunk_product(chunks_, kChunk, d, kChunk, {kChunk}, {v_stride}, o_stride, Write::accumulate);
    carry_ = chunk_product(chunks_, features, d, kChunk, {features, true}, {v_stride}, d, Write::accumulate);
    const int64_t rows = chunks_.block_rows();
    at_f_ = plan_.add_floats(rows * features);
    at_g_ = plan_.add_floats(rows * features);
    at_weights_ = plan_.add_floats(rows * rows);
    at_s_ = plan_.add_floats(features * d);
    at_z_ = plan_.add_floats(features);
    at_products_ = plan_.add_bytes(
        std::max({weights_.scratch_bytes(), read_.scratch_bytes(), attend_.scratch_bytes(), carry_.scratch_bytes()}));
  }

  size_t scratch_bytes() const override { return plan_.bytes(); }

  bool is_shared() const override { return true; }

  void run(const KernelArguments& arguments) const override {
    for_own_parts(arguments.member, size_.heads, [&](int64_t head) {
      std::fill_n(floats_at(arguments.scratch, at_s_), size_.features * size_.d_head, 0.0F);
      std::fill_n(floats_at(arguments.scratch, at_z_), size_.features, 0.0F);
      for (int64_t i = 0; i < chunks_.count(); ++i) chunk(arguments, head, chunks_[i]);
    });
  }

 private:
  /// Outputs of a chunk from the state before it and the keys inside it; then carries the state past it.
  void chunk(const KernelArguments& arguments, int64_t head, const RowBlock& block) const {
    const View& q = arguments.inputs[kQ];
    const View& k = arguments.inputs[kK];
    const View& o = arguments.outputs[kO];
    const float* mask = arguments.inputs[kMask].as<float>() + block.begin;
    const float* v = row_of(arguments.inputs[kV], head, block.begin);
    float* out = row_of(o, head, block.begin);
    float* denominators = vector_of(arguments.outputs[kDenominator], head) + block.begin;
    float* f = floats_at(arguments.scratch, at_f_);
    float* g = floats_at(arguments.scratch, at_g_);
    float* weights = floats_at(arguments.scratch, at_weights_);
    float* s = floats_at(arguments.scratch, at_s_);
    float* z = floats_at(arguments.scratch, at_z_);
    std::byte* products = arguments.scratch + at_products_;

    const RowPositions positions = positions_among(arguments, kPositions).from(block.begin);
    map_->forward(positions, block.rows, size_.d_head, row_of(q, head, block.begin), q.stride(1), f);
    map_->forward(positions, block.rows, size_.d_head, row_of(k, head, block.begin), k.stride(1), g);
    zero_masked_rows(mask, block.rows, size_.features, g);
    weights_.run(block.rows, f, g, weights, products);
    keep_lower_triangle(block.rows, weights, denominators);
    add_dot_products(block.rows, size_.features, f, z, denominators);
    read_.run(block.rows, f, s, out, products);
    attend_.run(block.rows, weights, v, out, products);
    normalize_rows(norm_, block.rows, size_.d_head, denominators, out, o.stride(1));
    carry_.run(block.rows, g, v, s, products);
    add_row_sum(block.rows, size_.features, g, z);
  }

  std::shared_ptr<const FeatureMap> map_;
  Norm norm_;
  Extents size_;
  RowBlocks chunks_;
  BlockProduct weights_;  // A = f g^T
  BlockProduct read_;     // o = f S
  BlockProduct attend_;   // o += A v
  BlockProduct carry_;    // S += g^T v
  ScratchPlan plan_;
  size_t at_f_ = 0;
  size_t at_g_ = 0;
  size_t at_weights_ = 0;
  size_t at_s_ = 0;
  size_t at_z_ = 0;
  size_t at_products_ = 0;
};

/// Two scans: forwards with S and z for dq, backwards with dS and dz for dk and dv. Nothing is kept a chunk.
class Backward final : public Kernel {
 public:
  Backward(const KernelRequest& request, const LinearAttentionParams& params)
      : map_(params.feature_map),
        norm_(params),
        size_(request.inputs[kQ].shape(), *map_),
        chunks_(size_.n, kChunkRows) {
    prepare_products(request);
    const int64_t rows = chunks_.block_rows();
    for (size_t* place : {&at_f_, &at_g_, &at_feature_gradients_}) *place = plan_.add_floats(rows * size_.features);
    for (size_t* place : {&at_weights_, &at_weight_gradients_}) *place = plan_.add_floats(rows * rows);
    at_c_ = plan_.add_floats(rows * size_.d_head);
    at_e_ = plan_.add_floats(rows);
    at_state_ = plan_.add_floats(size_.features * size_.d_head);
    at_state_sum_ = plan_.add_floats(size_.features);
    size_t scratch = 0;
    for (const BlockProduct* product : {&weights_, &weight_gradients_, &query_near_, &query_far_, &sum_keys_,
                                        &key_near_, &key_far_, &value_near_, &value_far_, &sum_queries_}) {
      scratch = std::max(scratch, product->scratch_bytes());
    }
    at_products_ = plan_.add_bytes(scratch);
  }

  size_t scratch_bytes() const override { return plan_.bytes(); }

  bool is_shared() const override { return true; }

  /// Both scans of a head can run at once.
  void run(const KernelArguments& arguments) const override {
    for_own_parts(arguments.member, 2 * size_.heads, [&](int64_t part) {
      const int64_t head = part / 2;
      clear_state(arguments.scratch);
      if (part % 2 == 0) {
        for (int64_t i = 0; i < chunks_.count(); ++i) queries(arguments, head, chunks_[i]);
      } else {
        for (int64_t i = chunks_.count() - 1; i >= 0; --i) keys(arguments, head, chunks_[i]);
      }
    });
  }

 private:
  void prepare_products(const KernelRequest& request) {
    const int64_t features = size_.features;
    const int64_t d = size_.d_head;
    const int64_t v = request.inputs[kV].stride(1);
    const int64_t dv = request.outputs[kDv].stride(1);
    const auto product = [&](int64_t m, int64_t n, int64_t k, Operand a, Operand b, int64_t c, Write write) {
      return chunk_product(chunks_, m, n, k, a, b, c, write);
    };
    weights_ = product(kChunk, kChunk, features, {features}, {features, true}, kChunk, Write::overwrite);
    weight_gradients_ = product(kChunk, kChunk, d, {d}, {v, true}, kChunk, Write::overwrite);
    query_far_ = product(kChunk, features, d, {d}, {d, true}, features, Write::overwrite);
    query_near_ = product(kChunk, features, kChunk, {kChunk}, {features}, features, Write::accumulate);
    sum_keys_ = product(features, d, kChunk, {features, true}, {v}, d, Write::accumulate);
    key_far_ = product(kChunk, features, d, {v}, {d, true}, features, Write::overwrite);
    key_near_ = product(kChunk, features, kChunk, {kChunk, true}, {features}, features, Write::accumulate);
    value_far_ = product(kChunk, d, features, {features}, {d}, dv, Write::overwrite);
    value_near_ = product(kChunk, d, kChunk, {kChunk, true}, {d}, dv, Write::accumulate);
    sum_queries_ = product(features, d, kChunk, {features, true}, {d}, d, Write::accumulate);
  }

  void clear_state(std::byte* scratch) const {
    std::fill_n(floats_at(scratch, at_state_), size_.features * size_.d_head, 0.0F);
    std::fill_n(floats_at(scratch, at_state_sum_), size_.features, 0.0F);
  }

  /// f, g, c, e and the gradients of the weights inside a chunk (zero above the diagonal).
  void prepare_chunk(const KernelArguments& arguments, int64_t head, const RowBlock& block) const {
    const View& q = arguments.inputs[kQ];
    const View& k = arguments.inputs[kK];
    const View& o = arguments.inputs[kSavedO];
    const View& output_gradient = arguments.inputs[kDo];
    const float* denominators = vector_of(arguments.inputs[kSavedDenominator], head) + block.begin;
    float* g = floats_at(arguments.scratch, at_g_);
    float* c = floats_at(arguments.scratch, at_c_);
    float* e = floats_at(arguments.scratch, at_e_);
    float* weight_gradients = floats_at(arguments.scratch, at_weight_gradients_);
    const RowPositions positions = positions_among(arguments, kBackwardPositions).from(block.begin);
    map_->forward(positions, block.rows, size_.d_head, row_of(q, head, block.begin), q.stride(1),
                  floats_at(arguments.scratch, at_f_));
    map_->forward(positions, block.rows, size_.d_head, row_of(k, head, block.begin), k.stride(1), g);
    zero_masked_rows(arguments.inputs[kMask].as<float>() + block.begin, block.rows, size_.features, g);
    normalizer_gradient(norm_, block.rows, size_.d_head, denominators, {row_of(o, head, block.begin), o.stride(1)},
                        {row_of(output_gradient, head, block.begin), output_gradient.stride(1)}, c, e);
    weight_gradients_.run(block.rows, c, row_of(arguments.inputs[kV], head, block.begin), weight_gradients,
                          arguments.scratch + at_products_);
    add_to_lower_triangle(block.rows, e, weight_gradients);
  }

  /// dq of a chunk, from S and z before it; then carries them past it.
  void queries(const KernelArguments& arguments, int64_t head, const RowBlock& block) const {
    const View& q = arguments.inputs[kQ];
    const View& dq = arguments.outputs[kDq];
    const float* g = floats_at(arguments.scratch, at_g_);
    float* df = floats_at(arguments.scratch, at_feature_gradients_);
    float* s = floats_at(arguments.scratch, at_state_);
    float* z = floats_at(arguments.scratch, at_state_sum_);
    std::byte* products = arguments.scratch + at_products_;

    prepare_chunk(arguments, head, block);
    query_far_.run(block.rows, floats_at(arguments.scratch, at_c_), s, df, products);
    query_near_.run(block.rows, floats_at(arguments.scratch, at_weight_gradients_), g, df, products);
    add_outer(block.rows, size_.features, floats_at(arguments.scratch, at_e_), z, df);
    const RowPositions positions = positions_among(arguments, kBackwardPositions).from(block.begin);
    map_->backward(positions, block.rows, size_.d_head, row_of(q, head, block.begin), q.stride(1), df,
                   row_of(dq, head, block.begin), dq.stride(1));
    sum_keys_.run(block.rows, g, row_of(arguments.inputs[kV], head, block.begin), s, products);
    add_row_sum(block.rows, size_.features, g, z);
  }

  /// dk and dv of a chunk, from dS and dz after it; then carries them past it.
  void keys(const KernelArguments& arguments, int64_t head, const RowBlock& block) const {
    const View& k = arguments.inputs[kK];
    const View& dk = arguments.outputs[kDk];
    const float* mask = arguments.inputs[kMask].as<float>() + block.begin;
    const float* f = floats_at(arguments.scratch, at_f_);
    const float* g = floats_at(arguments.scratch, at_g_);
    const float* c = floats_at(arguments.scratch, at_c_);
    float* weights = floats_at(arguments.scratch, at_weights_);
    float* dg = floats_at(arguments.scratch, at_feature_gradients_);
    float* dv = row_of(arguments.outputs[kDv], head, block.begin);
    float* ds = floats_at(arguments.scratch, at_state_);
    float* dz = floats_at(arguments.scratch, at_state_sum_);
    std::byte* products = arguments.scratch + at_products_;

    prepare_chunk(arguments, head, block);
    weights_.run(block.rows, f, g, weights, products);
    keep_lower_triangle(block.rows, weights, nullptr);
    value_far_.run(block.rows, g, ds, dv, products);
    value_near_.run(block.rows, weights, c, dv, products);
    key_far_.run(block.rows, row_of(arguments.inputs[kV], head, block.begin), ds, dg, products);
    key_near_.run(block.rows, floats_at(arguments.scratch, at_weight_gradients_), f, dg, products);
    add_outer(block.rows, size_.features, nullptr, dz, dg);
    zero_masked_rows(mask, block.rows, size_.features, dg);
    const RowPositions positions = positions_among(arguments, kBackwardPositions).from(block.begin);
    map_->backward(positions, block.rows, size_.d_head, row_of(k, head, block.begin), k.stride(1), dg,
                   row_of(dk, head, block.begin), dk.stride(1));
    sum_queries_.run(block.rows, f, c, ds, products);
    add_weighted_row_sum(block.rows, size_.features, floats_at(arguments.scratch, at_e_), f, dz);
  }

  std::shared_ptr<const FeatureMap> map_;
  Norm norm_;
  Extents size_;
  RowBlocks chunks_;
  BlockProduct weights_;           // A = f g^T
  BlockProduct weight_gradients_;  // dA = c v^T
  BlockProduct query_far_;         // df = c S^T
  BlockProduct query_near_;        // df += dA g
  BlockProduct sum_keys_;          // S += g^T v
  BlockProduct key_far_;           // dg = v dS^T
  BlockProduct key_near_;          // dg += dA^T f
  BlockProduct value_far_;         // dv = g dS
  BlockProduct value_near_;        // dv += A^T c
  BlockProduct sum_queries_;       // dS += f^T c
  ScratchPlan plan_;
  size_t at_f_ = 0;
  size_t at_g_ = 0;
  size_t at_feature_gradients_ = 0;
  size_t at_weights_ = 0;
  size_t at_weight_gradients_ = 0;
  size_t at_c_ = 0;
  size_t at_e_ = 0;
  size_t at_state_ = 0;      // S, then dS
  size_t at_state_sum_ = 0;  // z, then dz
  size_t at_products_ = 0;
};

}  // namespace

std::unique_ptr<Kernel> causal_forward(const KernelRequest& request, const LinearAttentionParams& params) {
  return std::make_unique<Forward>(request, params);
}

std::unique_ptr<Kernel> causal_backward(const KernelRequest& request, const LinearAttentionParams& params) {
  return std::make_unique<Backward>(request, params);
}

}  // namespace lra::engine::linear_attention
