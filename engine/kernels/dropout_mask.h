// The one decision function of dropout: which elements are kept, 128 decisions at a time.
//
// A Philox4x32-7 block gives 8 decisions of 16 bits. For element (row, column) of a plane:
//   key      = dropout_key(seed, site, plane)
//   counter  = (column, row / 8, example, step)
//   bits     = (word[r / 2] >> 16 (r % 2)) & 0xffff, with r = row % 8
//   kept    <=> bits >= threshold, where threshold = round(65536 p)
// so that 16 neighbouring columns are the lanes of one vectorised Philox, and 8 rows share it.
#pragma once

#include <cstdint>

#include "engine/random.h"

namespace lra::engine {

/// The Philox key of a plane (a head, say; 0 for matrices) at a place that drops.
uint64_t dropout_key(uint64_t seed, uint64_t site, uint64_t plane);

/// What kept elements are multiplied by: 1 / (1 - p). 0 <= threshold < 65536.
inline double dropout_scale(uint32_t threshold) { return 65536.0 / (65536.0 - threshold); }

/// Whether element (row, column) is kept: the scalar definition, and the oracle of the functions below.
bool keep(uint64_t key, const ExampleKeys& keys, uint32_t threshold, int64_t row, int64_t column);

/// A window on the decisions of one plane: any alignment, any extent.
struct DropoutWindow {
  uint64_t key = 0;  // dropout_key(…)
  ExampleKeys keys;
  uint32_t threshold = 0;  // dropout_threshold(p)
  float scale = 1;         // dropout_scale(threshold), or whatever kept elements are to be multiplied by
  int64_t row_begin = 0;
  int64_t rows = 0;
  int64_t column_begin = 0;
  int64_t columns = 0;
};

// Pointers are to the first element of the window; strides are in elements; nothing is allocated.

/// scales[i, j] = kept ? scale : 0.
void dropout_scales(const DropoutWindow& window, float* scales, int64_t row_stride);

/// x[i, j] = kept ? x[i, j] * scale : 0, in place.
void multiply_dropout(const DropoutWindow& window, float* x, int64_t row_stride);

/// The same with the window spelled out.
inline void multiply_dropout(uint64_t key, const ExampleKeys& keys, uint32_t threshold, float scale, int64_t row_begin,
                             int64_t rows, int64_t column_begin, int64_t columns, float* x, int64_t row_stride) {
  multiply_dropout({key, keys, threshold, scale, row_begin, rows, column_begin, columns}, x, row_stride);
}

/// y[i, j] = kept ? x[i, j] * scale : 0. y may be x; otherwise the two do not overlap.
void apply_dropout(const DropoutWindow& window, const float* x, int64_t x_row_stride, float* y, int64_t y_row_stride);

/// y[i, j] = residual[i, j] + (kept ? x[i, j] * scale : 0). y may be residual or x.
void add_dropout(const DropoutWindow& window, const float* residual, int64_t residual_row_stride, const float* x,
                 int64_t x_row_stride, float* y, int64_t y_row_stride);

}  // namespace lra::engine
