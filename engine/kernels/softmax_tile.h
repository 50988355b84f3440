// The elementwise passes over one tile of attention logits: softmax with a running maximum, and its gradient, both with
// dropout.
#pragma once

#include <algorithm>
#include <cstdint>

#include "engine/kernels/dropout_mask.h"

namespace lra::engine {

/// Which keys a query may see: those of begin(i) <= j < end(i), both of which grow with i.
struct Reach {
  static constexpr int64_t kFar = int64_t{1} << 40;
  int64_t behind = kFar;
  int64_t ahead = kFar;
  int64_t block = kFar;  // queries and keys are cut into blocks of so many and see only their own

  bool is_limited() const { return behind < kFar || ahead < kFar || block < kFar; }
  int64_t begin(int64_t query) const { return std::max(block_begin(query), query - std::min(behind, query)); }
  int64_t end(int64_t query) const { return std::min(block_begin(query) + block, query + ahead + 1); }

 private:
  int64_t block_begin(int64_t query) const { return block < kFar ? query / block * block : 0; }
};

/// A tile of logits before scaling, [rows, columns], and what its rows may see.
///
/// Logits of masked keys are -infinity: their weight is 0. A row without any visible unmasked key is blind: all its
/// visible keys, masked or not, have the same weight, and no gradient reaches its logits. Rows are worked on in whole
/// vectors: they exist, and hold logits of -infinity, up to the next multiple of 16 columns.
struct SoftmaxTile {
  int64_t rows = 0;
  int64_t columns = 0;
  int64_t row_stride = 0;        // a multiple of 16
  const float* blind = nullptr;  // [rows]: 1 where blind; null: none is
  Reach reach;
  float scale = 1.0F;     // of the logits, positive
  DropoutWindow dropout;  // where the tile lies; row_begin is a multiple of 8, threshold 0 where nothing is dropped

  bool is_blind(int64_t row) const { return blind != nullptr && blind[row] != 0.0F; }
  /// Columns of row `row` that it may see, from and to.
  int64_t visible_begin(int64_t row) const { return column(reach.begin(dropout.row_begin + row)); }
  int64_t visible_end(int64_t row) const { return column(reach.end(dropout.row_begin + row)); }

 private:
  int64_t column(int64_t key) const { return std::clamp<int64_t>(key - dropout.column_begin, 0, columns); }
};

/// What is known of the rows of a tile from the tiles before: [rows] each.
struct RunningSoftmax {
  float* maxima;   // of the scaled logits, times log2 e; -infinity before the first tile
  float* sums;     // of the exponentials relative to them; 0 before
  float* factors;  // written: what was summed before must be multiplied by them
};

/// Replaces the logits s by weights relative to the running maximum of each row, those dropped by 0 (and those kept not
/// scaled: that can wait for the sum over all tiles), and updates what is known of the rows.
void softmax_tile_forward(const SoftmaxTile& tile, const RunningSoftmax& running, float* s);

/// Replaces the logits s by the dropped weights w m, with w = 2^(scale s log2 e - log2_sums_i) and m = 0 or the scale
/// of dropout, and g, the gradient of w m, by that of the logits before scaling: scale (w m g - w dots_i), where dots_i
/// = do_i . o_i. Both arrays have the tile's row stride.
void softmax_tile_backward(const SoftmaxTile& tile, const float* log2_sums, const float* dots, float* s, float* g);

}  // namespace lra::engine
