// Products of tiles: a few rows at a time in registers, on operands in L1 or L2.
//
// What the library's products are for large matrices, these are for the tiles of attention, whose extents (32 to 256)
// leave little to amortise: no call through a primitive, and operands laid out by the caller once for many tiles.
#pragma once

#include <cstdint>

namespace lra::engine {

/// Rows of padded operands take a multiple of this.
inline constexpr int64_t kPaddedWidth = 16;
/// Columns of a panel; a multiple of kPaddedWidth, and of what registers hold at once. The same for every instruction
/// set: callers that are compiled for another one than the products lay out panels, too.
inline constexpr int64_t kPanelColumns = 48;

inline int64_t rounded_up(int64_t count, int64_t multiple) { return (count + multiple - 1) / multiple * multiple; }
inline int64_t padded_width(int64_t width) { return rounded_up(width, kPaddedWidth); }
inline int64_t padded_to_panels(int64_t columns) { return rounded_up(columns, kPanelColumns); }

/// Lays rows x: [count, depth] out as the columns of a product: panels [depth, kPanelColumns] one after another, the
/// last one filled up with 0. panels: padded_to_panels(count) * depth floats.
void pack_panels(const float* x, int64_t row_stride, int64_t count, int64_t depth, float* panels);

/// Copies rows x: [count, width] to y: [count, padded_width(width)], filled up with 0.
void copy_padded(const float* x, int64_t row_stride, int64_t count, int64_t width, float* y);

/// c[i, j] = bias[j] + sum over t of a[i, t] b[j, t] for all columns of the panels that b was packed into.
struct PanelProduct {
  int64_t rows = 0;
  int64_t depth = 0;
  int64_t columns = 0;  // a multiple of kPaddedWidth
  const float* a = nullptr;
  int64_t a_row_stride = 0;
  const float* panels = nullptr;
  const float* bias = nullptr;  // [columns]; null: 0
  float* c = nullptr;
  int64_t c_row_stride = 0;
};
void multiply(const PanelProduct& product);

/// c = a b or c += a b, with c: [m, n], a: [m, k], or stored as [k, m] when transpose_a, b: [k, n]; n is a multiple of
/// kPaddedWidth.
struct RowProduct {
  int64_t m = 0;
  int64_t n = 0;
  int64_t k = 0;
  const float* a = nullptr;
  int64_t a_row_stride = 0;  // of the stored rows
  const float* b = nullptr;
  int64_t b_row_stride = 0;
  float* c = nullptr;
  int64_t c_row_stride = 0;
  bool transpose_a = false;
  bool accumulate = false;
};
void multiply(const RowProduct& product);

}  // namespace lra::engine
