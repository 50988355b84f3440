// Softmax attention forwards: for a block of queries, all keys tile by tile with a running maximum.
#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/ops/softmax_attention_kernels.h"

namespace lra::engine::softmax_kernels {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// Strips of queries that pass over a tile of keys together, so that it comes from beyond L2 once for all of them.
constexpr int64_t kBlockStrips = 4;

class Forward final : public Kernel {
 public:
  Forward(const KernelRequest& request, const SoftmaxAttentionParams& params)
      : problem_(request, params, kForwardStripRows), query_blocks_(problem_.n, kBlockStrips * kForwardStripRows) {
    problem_.plan(shared_);
    const int64_t tiles = problem_.heads * problem_.keys.count();
    at_keys_ = shared_.add_floats(tiles * problem_.panel_floats());
    at_values_ = shared_.add_floats(tiles * problem_.row_floats());

    const int64_t rows = query_blocks_.block_rows();
    at_tile_ = own_.add_floats(problem_.strips.block_rows() * problem_.tile_stride());
    for (size_t* place : {&at_maxima_, &at_sums_, &at_factors_}) *place = own_.add_floats(rows);
    for (size_t* place : {&at_queries_, &at_outputs_}) *place = own_.add_floats(rows * problem_.d_padded());
  }

  size_t scratch_bytes() const override { return own_.bytes(); }
  size_t shared_scratch_bytes() const override { return shared_.bytes(); }
  bool is_shared() const override { return true; }

  void run(const KernelArguments& arguments) const override {
    const Member& member = arguments.member;
    std::byte* shared = arguments.shared_scratch;
    if (member.index == 0) problem_.prepare_mask(arguments.inputs[kMask], shared);
    const int64_t tiles = problem_.keys.count(), blocks = query_blocks_.count();
    for_own_parts(member, problem_.heads * tiles,
                  [&](int64_t part) { prepare_keys(arguments, shared, part / tiles, part % tiles); });
    member.meet();
    const Visibility visibility = problem_.visibility(shared);
    for_own_parts(member, problem_.heads * blocks, [&](int64_t part) {
      query_block(arguments, visibility, shared, arguments.scratch, part / blocks, part % blocks);
    });
  }

 private:
  float* keys_of(std::byte* shared, int64_t head, int64_t tile) const {
    return floats_at(shared, at_keys_) + (head * problem_.keys.count() + tile) * problem_.panel_floats();
  }
  float* values_of(std::byte* shared, int64_t head, int64_t tile) const {
    return floats_at(shared, at_values_) + (head * problem_.keys.count() + tile) * problem_.row_floats();
  }

  /// Lays out a tile of keys and values of a head: shared.
  void prepare_keys(const KernelArguments& arguments, std::byte* shared, int64_t head, int64_t tile) const {
    const RowBlock rows = problem_.keys[tile];
    const View& k = arguments.inputs[kK];
    const View& v = arguments.inputs[kV];
    pack_panels(row_of(k, head, rows.begin), k.stride(1), rows.rows, problem_.d_head, keys_of(shared, head, tile));
    copy_padded(row_of(v, head, rows.begin), v.stride(1), rows.rows, problem_.d_head, values_of(shared, head, tile));
  }

  /// One part of the result: o and the binary logarithms of the sums of a block of queries of a head.
  void query_block(const KernelArguments& arguments, const Visibility& visibility, std::byte* shared, std::byte* own,
                   int64_t head, int64_t block) const {
    const RowBlock rows = query_blocks_[block];
    const View& q = arguments.inputs[kQ];
    copy_padded(row_of(q, head, rows.begin), q.stride(1), rows.rows, problem_.d_head, floats_at(own, at_queries_));
    std::fill_n(floats_at(own, at_outputs_), rows.rows * problem_.d_padded(), 0.0F);
    std::fill_n(floats_at(own, at_maxima_), rows.rows, -kInfinity);
    std::fill_n(floats_at(own, at_sums_), rows.rows, 0.0F);
    const RowBlock tiles = problem_.tiles_of(rows);
    for (int64_t j = tiles.begin; j < tiles.begin + tiles.rows; ++j) {
      for (int64_t first = 0; first < rows.rows; first += kForwardStripRows) {
        const RowBlock strip{rows.begin + first, std::min(kForwardStripRows, rows.rows - first)};
        if (!problem_.any_weight(visibility, strip, j)) continue;
        const SoftmaxTile tile = problem_.tile(visibility, arguments.keys, head, strip, problem_.keys[j]);
        const int64_t skipped = tile.dropout.column_begin - problem_.keys[j].begin;  // columns that no query sees
        add_tile(tile, visibility.bias + j * problem_.tile_stride() + skipped,
                 keys_of(shared, head, j) + skipped * problem_.d_head,
                 values_of(shared, head, j) + skipped * problem_.d_padded(), own, first);
      }
    }
    write(arguments, own, head, rows);
  }

  /// Adds a tile of keys to the sums of the strip of queries that begins `first` rows into the block.
  void add_tile(const SoftmaxTile& tile, const float* bias, const float* keys, const float* values, std::byte* own,
                int64_t first) const {
    const int64_t d = problem_.d_padded();
    float* s = floats_at(own, at_tile_);
    float* o = floats_at(own, at_outputs_) + first * d;
    const RunningSoftmax running{.maxima = floats_at(own, at_maxima_) + first,
                                 .sums = floats_at(own, at_sums_) + first,
                                 .factors = floats_at(own, at_factors_) + first};
    multiply(PanelProduct{.rows = tile.rows,
                          .depth = problem_.d_head,
                          .columns = padded_width(tile.columns),
                          .a = floats_at(own, at_queries_) + first * d,
                          .a_row_stride = d,
                          .panels = keys,
                          .bias = bias,
                          .c = s,
                          .c_row_stride = tile.row_stride});
    softmax_tile_forward(tile, running, s);
    for (int64_t row = 0; row < tile.rows; ++row) {
      const float factor = running.factors[row];
#pragma omp simd
      for (int64_t a = 0; a < d; ++a) o[row * d + a] *= factor;
    }
    multiply(RowProduct{.m = tile.rows,
                        .n = d,
                        .k = tile.columns,
                        .a = s,
                        .a_row_stride = tile.row_stride,
                        .b = values,
                        .b_row_stride = d,
                        .c = o,
                        .c_row_stride = d,
                        .accumulate = true});
  }

  void write(const KernelArguments& arguments, std::byte* own, int64_t head, const RowBlock& rows) const {
    const float* maxima = floats_at(own, at_maxima_);
    const float* sums = floats_at(own, at_sums_);
    const auto kept_scale = static_cast<float>(dropout_scale(problem_.dropout_threshold));
    float* log2_sums = vector_of(arguments.outputs[kLog2Sums], head) + rows.begin;
    for (int64_t row = 0; row < rows.rows; ++row) {
      log2_sums[row] = maxima[row] + std::log2(sums[row]);
      const float scale = kept_scale / sums[row];
      const float* from = floats_at(own, at_outputs_) + row * problem_.d_padded();
      float* to = row_of(arguments.outputs[kO], head, rows.begin + row);
#pragma omp simd
      for (int64_t a = 0; a < problem_.d_head; ++a) to[a] = scale * from[a];
    }
  }

  Problem problem_;
  RowBlocks query_blocks_;
  ScratchPlan shared_, own_;
  size_t at_keys_ = 0;    // shared: [heads, tiles] of panels
  size_t at_values_ = 0;  // shared: [heads, tiles] of rows
  size_t at_tile_ = 0;    // own: logits, then weights of a strip
  size_t at_maxima_ = 0;  // own, as the rest: of a block's rows
  size_t at_sums_ = 0;
  size_t at_factors_ = 0;
  size_t at_queries_ = 0;
  size_t at_outputs_ = 0;
};

}  // namespace

std::unique_ptr<Kernel> forward_kernel(const KernelRequest& request, const SoftmaxAttentionParams& params) {
  return std::make_unique<Forward>(request, params);
}

}  // namespace lra::engine::softmax_kernels
