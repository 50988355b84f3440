// Softmax attention backwards: tiles recomputed from q, k and the saved logarithms of their sums (Dao et al. 2022).
#include <algorithm>

#include "engine/ops/softmax_attention_kernels.h"

namespace lra::engine::softmax_kernels {
namespace {

class Backward final : public Kernel {
 public:
  Backward(const KernelRequest& request, const SoftmaxAttentionParams& params)
      : problem_(request, params, kBackwardStripRows) {
    problem_.plan(shared_);
    at_dots_ = shared_.add_floats(problem_.heads * problem_.n);

    const int64_t strip = problem_.strips.block_rows();
    for (size_t* place : {&at_weights_, &at_gradients_}) *place = own_.add_floats(strip * problem_.tile_stride());
    for (size_t* place : {&at_q_, &at_do_, &at_dq_}) *place = own_.add_floats(strip * problem_.d_padded());
    for (size_t* place : {&at_key_panels_, &at_value_panels_}) *place = own_.add_floats(problem_.panel_floats());
    for (size_t* place : {&at_key_rows_, &at_dk_, &at_dv_}) *place = own_.add_floats(problem_.row_floats());
  }

  size_t scratch_bytes() const override { return own_.bytes(); }
  size_t shared_scratch_bytes() const override { return shared_.bytes(); }
  bool is_shared() const override { return true; }

  /// Members take tiles of keys in turn, heads one after the other. A strip of dq gets what a tile adds to it after all
  /// earlier tiles of the head have: the members follow each other down the strips.
  void run(const KernelArguments& arguments) const override {
    const Member& member = arguments.member;
    std::byte* shared = arguments.shared_scratch;
    if (member.index == 0) problem_.prepare_mask(arguments.inputs[kMask], shared);
    const RowBlocks blocks(problem_.n, kPreparedRows);
    for_own_parts(member, problem_.heads * blocks.count(), [&](int64_t part) {
      prepare_rows(arguments, shared, part / blocks.count(), blocks[part % blocks.count()]);
    });
    member.meet();
    const Visibility visibility = problem_.visibility(shared);
    for_own_parts(member, problem_.heads * problem_.keys.count(),
                  [&](int64_t part) { key_tile(arguments, visibility, part); });
  }

 private:
  static constexpr int64_t kPreparedRows = 1024;

  /// Clears rows of dq, which tiles add to (an output), and takes do_i . o_i of each row (shared).
  void prepare_rows(const KernelArguments& arguments, std::byte* shared, int64_t head, const RowBlock& rows) const {
    float* dots = floats_at(shared, at_dots_) + head * problem_.n;
    for (int64_t row = rows.begin; row < rows.begin + rows.rows; ++row) {
      std::fill_n(row_of(arguments.outputs[kDq], head, row), problem_.d_head, 0.0F);
      const float* o = row_of(arguments.inputs[kSavedO], head, row);
      const float* output_gradient = row_of(arguments.inputs[kDo], head, row);
      float dot = 0;
#pragma omp simd reduction(+ : dot)
      for (int64_t a = 0; a < problem_.d_head; ++a) dot += o[a] * output_gradient[a];
      dots[row] = dot;
    }
  }

  /// Waits until the tile before `part` has been added to the strips before `strips`, in the order of the parts.
  void await_earlier_tile(const Member& member, int64_t part, int64_t strips) const {
    if (part % problem_.keys.count() == 0) return;
    const int64_t earlier = part - 1;
    member.wait_for(static_cast<int>(earlier % member.count),
                    earlier / member.count * problem_.strips.count() + strips);
  }

  /// One part of the result: dk and dv of a tile of keys of a head, and what they add to dq, strip by strip.
  void key_tile(const KernelArguments& arguments, const Visibility& visibility, int64_t part) const {
    const int64_t head = part / problem_.keys.count(), tile = part % problem_.keys.count();
    const Member& member = arguments.member;
    std::byte* own = arguments.scratch;
    const RowBlock rows = problem_.keys[tile];
    const View& k = arguments.inputs[kK];
    const View& v = arguments.inputs[kV];
    const float* keys = row_of(k, head, rows.begin);
    pack_panels(keys, k.stride(1), rows.rows, problem_.d_head, floats_at(own, at_key_panels_));
    copy_padded(keys, k.stride(1), rows.rows, problem_.d_head, floats_at(own, at_key_rows_));
    pack_panels(row_of(v, head, rows.begin), v.stride(1), rows.rows, problem_.d_head, floats_at(own, at_value_panels_));
    for (const size_t place : {at_dk_, at_dv_}) std::fill_n(floats_at(own, place), problem_.row_floats(), 0.0F);
    const float* bias = visibility.bias + tile * problem_.tile_stride();
    const float* dots = floats_at(arguments.shared_scratch, at_dots_) + head * problem_.n;
    const int64_t strips = problem_.strips.count(), reported = part / member.count * strips;
    for (int64_t i = 0; i < strips; ++i) {
      const RowBlock strip = problem_.strips[i];
      if (!problem_.any_weight(visibility, strip, tile)) continue;
      const SoftmaxTile at = problem_.tile(visibility, arguments.keys, head, strip, rows);
      add_strip(arguments, at, at.dropout.column_begin - rows.begin, bias, dots, own, head);
      await_earlier_tile(member, part, i + 1);
      add_queries(at, at.dropout.column_begin - rows.begin, own, arguments.outputs[kDq], head);
      member.report(reported + i + 1);
    }
    await_earlier_tile(member, part, strips);  // strips that this tile leaves out
    member.report(reported + strips);
    copy_out(floats_at(own, at_dk_), arguments.outputs[kDk], head, rows);
    copy_out(floats_at(own, at_dv_), arguments.outputs[kDv], head, rows);
  }

  void copy_out(const float* from, const View& to, int64_t head, const RowBlock& rows) const {
    for (int64_t row = 0; row < rows.rows; ++row) {
      float* at = row_of(to, head, rows.begin + row);
      const float* from_row = from + row * problem_.d_padded();
#pragma omp simd
      for (int64_t a = 0; a < problem_.d_head; ++a) at[a] = from_row[a];
    }
  }

  /// Adds what a strip of queries gives to dk and dv of the tile, and makes the gradients of its logits. The first
  /// `skipped` keys of the tile are seen by none of them.
  void add_strip(const KernelArguments& arguments, const SoftmaxTile& tile, int64_t skipped, const float* bias,
                 const float* dots, std::byte* own, int64_t head) const {
    const int64_t begin = tile.dropout.row_begin;
    const View& q = arguments.inputs[kQ];
    const View& output_gradient = arguments.inputs[kDo];
    const float* q_rows = floats_at(own, at_q_);
    const float* do_rows = floats_at(own, at_do_);
    float* weights = floats_at(own, at_weights_);
    float* gradients = floats_at(own, at_gradients_);
    copy_padded(row_of(q, head, begin), q.stride(1), tile.rows, problem_.d_head, floats_at(own, at_q_));
    copy_padded(row_of(output_gradient, head, begin), output_gradient.stride(1), tile.rows, problem_.d_head,
                floats_at(own, at_do_));
    const int64_t panels = skipped * problem_.d_head, rows = skipped * problem_.d_padded();
    from_rows(tile, q_rows, floats_at(own, at_key_panels_) + panels, bias + skipped, weights);
    from_rows(tile, do_rows, floats_at(own, at_value_panels_) + panels, nullptr, gradients);
    softmax_tile_backward(tile, vector_of(arguments.inputs[kSavedLog2Sums], head) + begin, dots + begin, weights,
                          gradients);
    to_keys(tile, weights, do_rows, floats_at(own, at_dv_) + rows);
    to_keys(tile, gradients, q_rows, floats_at(own, at_dk_) + rows);
  }

  /// x: [rows, columns] = a b^T, with b in panels.
  void from_rows(const SoftmaxTile& tile, const float* a, const float* panels, const float* bias, float* x) const {
    multiply(PanelProduct{.rows = tile.rows,
                          .depth = problem_.d_head,
                          .columns = padded_width(tile.columns),
                          .a = a,
                          .a_row_stride = problem_.d_padded(),
                          .panels = panels,
                          .bias = bias,
                          .c = x,
                          .c_row_stride = tile.row_stride});
  }

  /// y: [columns, d] += x^T rows.
  void to_keys(const SoftmaxTile& tile, const float* x, const float* rows, float* y) const {
    const int64_t d = problem_.d_padded();
    multiply(RowProduct{.m = tile.columns,
                        .n = d,
                        .k = tile.rows,
                        .a = x,
                        .a_row_stride = tile.row_stride,
                        .b = rows,
                        .b_row_stride = d,
                        .c = y,
                        .c_row_stride = d,
                        .transpose_a = true,
                        .accumulate = true});
  }

  /// dq: [rows, d] += ds k.
  void add_queries(const SoftmaxTile& tile, int64_t skipped, std::byte* own, const View& dq, int64_t head) const {
    const int64_t d = problem_.d_padded();
    float* sums = floats_at(own, at_dq_);
    multiply(RowProduct{.m = tile.rows,
                        .n = d,
                        .k = tile.columns,
                        .a = floats_at(own, at_gradients_),
                        .a_row_stride = tile.row_stride,
                        .b = floats_at(own, at_key_rows_) + skipped * d,
                        .b_row_stride = d,
                        .c = sums,
                        .c_row_stride = d});
    for (int64_t row = 0; row < tile.rows; ++row) {
      const float* from = sums + row * d;
      float* to = row_of(dq, head, tile.dropout.row_begin + row);
#pragma omp simd
      for (int64_t a = 0; a < problem_.d_head; ++a) to[a] += from[a];
    }
  }

  Problem problem_;
  ScratchPlan shared_, own_;
  size_t at_dots_ = 0;       // shared: [heads, n]
  size_t at_weights_ = 0;    // own, as the rest: a strip by a tile
  size_t at_gradients_ = 0;  // the same
  size_t at_q_ = 0;          // a strip of rows
  size_t at_do_ = 0;
  size_t at_dq_ = 0;
  size_t at_key_panels_ = 0;  // a tile of keys
  size_t at_value_panels_ = 0;
  size_t at_key_rows_ = 0;
  size_t at_dk_ = 0;
  size_t at_dv_ = 0;
};

}  // namespace

std::unique_ptr<Kernel> backward_kernel(const KernelRequest& request, const SoftmaxAttentionParams& params) {
  return std::make_unique<Backward>(request, params);
}

}  // namespace lra::engine::softmax_kernels
