// The elementwise passes over one tile of attention logits: softmax with a running maximum, and its gradient, both with
// dropout.
#pragma once

#include <algorithm>
#include <cstdint>

#include "engine/kernels/dropout_mask.h"

namespace lra::engine {

/// A tile of logits before scaling, [rows, columns], and what its rows may see.
///
/// Logits of masked keys are -infinity: their weight is 0. A row without any visible unmasked key is blind: all its
/// visible keys, masked or not, have the same weight, and no gradient reaches its logits. Blind rows come first,
/// because what a row sees grows with it. Rows are worked on in whole vectors: they exist, and hold logits of
/// -infinity, up to the next multiple of 16 columns.
struct SoftmaxTile {
  int64_t rows = 0;
  int64_t columns = 0;
  int64_t row_stride = 0;       // a multiple of 16
  int64_t blind_rows = 0;       // the first rows of the tile that are blind
  int64_t visible_columns = 0;  // of row 0; `visible_growth` more in each row further down
  int64_t visible_growth = 0;   // 1 when causal
  float scale = 1.0F;           // of the logits, positive
  DropoutWindow dropout;        // of the tile; row_begin is a multiple of 8, threshold 0 where nothing is dropped

  /// Columns of row `row` that it may see.
  int64_t visible(int64_t row) const { return std::clamp<int64_t>(visible_columns + row * visible_growth, 0, columns); }
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
