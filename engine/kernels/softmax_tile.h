// The elementwise passes over one tile of attention logits: softmax with a running maximum, and its gradient.
#pragma once

#include <algorithm>
#include <cstdint>

namespace lra::engine {

/// A tile of logits before scaling, [rows, columns], and what its rows may see.
///
/// A masked key has weight 0. A row without any visible unmasked key is blind: all its visible keys, masked or not,
/// have the same weight, and no gradient reaches its logits. Blind rows come first, because what a row sees grows with
/// it.
struct SoftmaxTile {
  int64_t rows = 0;
  int64_t columns = 0;
  int64_t row_stride = 0;
  int64_t blind_rows = 0;       // the first rows of the tile that are blind
  int64_t visible_columns = 0;  // of row 0; `visible_growth` more in each row further down
  int64_t visible_growth = 0;   // 1 when causal
  float scale = 1.0F;           // of the logits, positive
  const float* bias = nullptr;  // [columns]: 0, or -infinity where the key is masked

  /// Columns of row `row` that it may see.
  int64_t visible(int64_t row) const { return std::clamp<int64_t>(visible_columns + row * visible_growth, 0, columns); }
};

/// Replaces the logits s by weights relative to the running maximum of each row, and updates the running maxima and
/// sums
/// ([rows], -infinity and 0 before the first tile). What was summed before must be multiplied by factors: [rows].
void softmax_tile_forward(const SoftmaxTile& tile, float* s, float* maxima, float* sums, float* factors);

/// Replaces the logits s by the weights exp(scale s - log_sums_i).
void softmax_tile_weights(const SoftmaxTile& tile, const float* log_sums, float* s);

/// Replaces dropped_gradients, the gradient of the weights after dropout, by that of the logits before scaling:
/// scale (dropped_weights * dropped_gradients - weights * dots_i), where dots_i = do_i . o_i.
/// Without dropout dropped_weights are the weights. All arrays have the tile's row stride.
void softmax_tile_gradient(const SoftmaxTile& tile, const float* weights, const float* dropped_weights,
                           const float* dots, float* dropped_gradients);

}  // namespace lra::engine
