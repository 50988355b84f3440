// Loops over the decisions of dropout, for kernels that do more than drop in one pass.
#pragma once

#include <algorithm>
#include <cstdint>
#include <initializer_list>

#include "engine/kernels/dropout_mask.h"
#include "engine/kernels/philox_lanes.h"

namespace lra::engine {

inline constexpr int64_t kRowsPerDropoutBlock = 8;

/// A dropped element is 0 whatever it was, infinities included. The argument is computed for all lanes: no branch.
inline float select_kept(bool kept, float value) { return kept ? value : 0.0f; }

/// y[l] = value(l, kept) for the lanes of a run; a full run has a constant trip count, which makes it one vector.
/// Lane l is kept <=> (words[l] << shift) >= limit: shifting the 16 bits of the decision to the top makes the
/// comparison of whole words the comparison of the decisions, since `limit` has no low bits.
template <class Value>
inline void write_dropout_run(int64_t count, const uint32_t* words, uint32_t shift, uint32_t limit, float* y,
                              Value value) {
  if (count == kPhiloxLanes) {
#pragma omp simd
    for (int64_t l = 0; l < kPhiloxLanes; ++l) y[l] = value(l, (words[l] << shift) >= limit);
  } else {
#pragma omp simd
    for (int64_t l = 0; l < count; ++l) y[l] = value(l, (words[l] << shift) >= limit);
  }
}

/// The rows of a window that a loop reads.
struct DropoutSource {
  const float* data;
  int64_t row_stride;
};

/// y[i, j + l] = values_at(i, j)(l, kept) over the window, in runs of at most kPhiloxLanes columns j, j + 1, … of a row
/// i, counted from the window's first element. `values_at` returns the function of a run; 8 rows share a Philox block.
/// What is read (`sources`) is asked for 8 rows ahead: walking 8 rows side by side, with a generator between the
/// columns, is no pattern that a processor prefetches by itself (4 against 19 GB/s from memory).
template <class ValuesAt>
inline void write_dropout(const DropoutWindow& window, std::initializer_list<DropoutSource> sources, float* y,
                          int64_t y_row_stride, ValuesAt values_at) {
  const uint32_t limit = window.threshold << 16;
  const int64_t row_end = window.row_begin + window.rows;
  PhiloxLanes block;
  for (int64_t begin = window.row_begin / kRowsPerDropoutBlock * kRowsPerDropoutBlock; begin < row_end;
       begin += kRowsPerDropoutBlock) {
    const int64_t first = std::max(window.row_begin, begin);
    const int64_t last = std::min(row_end, begin + kRowsPerDropoutBlock);
    for (int64_t column = 0; column < window.columns; column += kPhiloxLanes) {
      philox_lanes(window.key, static_cast<uint32_t>(window.column_begin + column),
                   static_cast<uint32_t>(begin / kRowsPerDropoutBlock), window.keys.example, window.keys.step, block);
      for (int64_t row = first - window.row_begin + kRowsPerDropoutBlock, end = row + kRowsPerDropoutBlock; row < end;
           ++row) {
        for (const DropoutSource& source : sources) __builtin_prefetch(source.data + row * source.row_stride + column);
        __builtin_prefetch(y + row * y_row_stride + column, 1);
      }
      const int64_t count = std::min<int64_t>(kPhiloxLanes, window.columns - column);
      for (int64_t row = first; row < last; ++row) {
        const int64_t decision = row - begin;
        const uint32_t shift = decision % 2 == 0 ? 16 : 0;
        const int64_t i = row - window.row_begin;
        write_dropout_run(count, block.words[decision / 2], shift, limit, y + i * y_row_stride + column,
                          values_at(i, column));
      }
    }
  }
}

}  // namespace lra::engine
