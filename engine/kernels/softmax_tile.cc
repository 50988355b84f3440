#include "engine/kernels/softmax_tile.h"

#include <cstring>
#include <limits>
#include <numbers>

#include "engine/kernels/dropout_runs.h"
#include "engine/kernels/vmath.h"

namespace lra::engine {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr int64_t kLanes = kPhiloxLanes;          // columns worked on at a time
constexpr int64_t kGroup = kRowsPerDropoutBlock;  // rows that share their random bits

/// The scale that makes logits exponents of 2.
float scale_to_base_two(const SoftmaxTile& tile) { return tile.scale * std::numbers::log2e_v<float>; }

int64_t whole_runs(int64_t columns) { return (columns + kLanes - 1) / kLanes * kLanes; }

/// Logits that no product makes: -infinity where a row does not see, and a constant in blind rows.
void limit_to_visible(const SoftmaxTile& tile, float* s) {
  if (!tile.reach.is_limited() && tile.blind == nullptr) return;
  const int64_t width = whole_runs(tile.columns);
  for (int64_t row = 0; row < tile.rows; ++row, s += tile.row_stride) {
    const int64_t begin = tile.visible_begin(row), end = std::max(begin, tile.visible_end(row));
    const bool is_blind = tile.is_blind(row);
    std::fill(s, s + begin, -kInfinity);
    if (is_blind) std::fill(s + begin, s + end, 0.0F);
    if (is_blind || end < width) std::fill(s + end, s + width, -kInfinity);
  }
}

/// A run of columns as one value. (By reference: without AVX-512 it has no register to be passed in.)
using Lanes = float __attribute__((vector_size(kLanes * sizeof(float))));
inline float& lane(Lanes& lanes, int64_t l) { return reinterpret_cast<float*>(&lanes)[l]; }

/// Folds lanes to one by halves: combine(x, y) puts into x what x and y make together.
template <class Combine>
inline float fold(Lanes& x, const Combine& combine) {
  combine(x, __builtin_shufflevector(x, x, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7));
  combine(x, __builtin_shufflevector(x, x, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11));
  combine(x, __builtin_shufflevector(x, x, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13));
  combine(x, __builtin_shufflevector(x, x, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14));
  return x[0];
}

/// The largest of a row of `width` logits, a multiple of kLanes.
float largest_logit(const float* s, int64_t width) {
  Lanes largest = Lanes{} - kInfinity;
  for (int64_t j = 0; j < width; j += kLanes) {
    Lanes logits;
    std::memcpy(&logits, s + j, sizeof logits);
    largest = largest < logits ? logits : largest;
  }
  return fold(largest, [](Lanes& x, const Lanes& y) { x = x < y ? y : x; });
}

/// Calls run(row, column, words, shift) for runs of kLanes columns of a group of rows beginning at `first`; lane l is
/// kept <=> (words[l] << shift) >= tile.dropout.threshold << 16.
template <bool kDropout, class Run>
inline void for_runs(const SoftmaxTile& tile, int64_t first, const Run& run) {
  const DropoutWindow& dropout = tile.dropout;
  const int64_t rows = std::min(kGroup, tile.rows - first);
  const auto block_of_rows = static_cast<uint32_t>((dropout.row_begin + first) / kGroup);
  PhiloxLanes block;
  for (int64_t column = 0; column < tile.columns; column += kLanes) {
    if constexpr (kDropout) {
      philox_lanes(dropout.key, static_cast<uint32_t>(dropout.column_begin + column), block_of_rows,
                   dropout.keys.example, dropout.keys.step, block);
    }
    for (int64_t row = 0; row < rows; ++row) {
      run(row, column, kDropout ? block.words[row / 2] : nullptr, row % 2 == 0 ? 16U : 0U);
    }
  }
}

template <bool kDropout>
void weigh(const SoftmaxTile& tile, const RunningSoftmax& running, float* s) {
  const uint32_t limit = tile.dropout.threshold << 16;
  const float scale = scale_to_base_two(tile);
  for (int64_t first = 0; first < tile.rows; first += kGroup) {
    Lanes sums[kGroup];
    for (Lanes& sum : sums) sum = Lanes{};
    float shifts[kGroup] = {};
    for (int64_t row = 0; row < std::min(kGroup, tile.rows - first); ++row) {
      const float largest = running.maxima[first + row];
      // Nothing unmasked so far: any finite shift gives weights of 0.
      shifts[row] = largest == -kInfinity ? 0.0F : largest;
    }
    for_runs<kDropout>(tile, first, [&](int64_t row, int64_t column, const uint32_t* words, uint32_t shift_bits) {
      float* at = s + (first + row) * tile.row_stride + column;
      Lanes& sum = sums[row];
      const float shift = shifts[row];
#pragma omp simd
      for (int64_t l = 0; l < kLanes; ++l) {
        const float weight = exp2_f32(at[l] * scale - shift);
        lane(sum, l) += weight;
        at[l] = !kDropout ? weight : select_kept((words[l] << shift_bits) >= limit, weight);
      }
    });
    for (int64_t row = 0; row < std::min(kGroup, tile.rows - first); ++row) {
      const float sum = fold(sums[row], [](Lanes& x, const Lanes& y) { x += y; });
      running.sums[first + row] = running.sums[first + row] * running.factors[first + row] + sum;
    }
  }
}

template <bool kDropout>
void gradients(const SoftmaxTile& tile, const float* log2_sums, const float* dots, float* s, float* g) {
  const uint32_t limit = tile.dropout.threshold << 16;
  const float kept_scale = kDropout ? tile.dropout.scale : 1.0F;
  const float scale = tile.scale;
  const float scale_two = scale_to_base_two(tile);
  for (int64_t first = 0; first < tile.rows; first += kGroup) {
    for_runs<kDropout>(tile, first, [&](int64_t row, int64_t column, const uint32_t* words, uint32_t shift_bits) {
      float* weights = s + (first + row) * tile.row_stride + column;
      float* gradient = g + (first + row) * tile.row_stride + column;
      const float shift = log2_sums[first + row];
      const float dot = dots[first + row];
#pragma omp simd
      for (int64_t l = 0; l < kLanes; ++l) {
        const float weight = exp2_f32(weights[l] * scale_two - shift);
        const float dropped = !kDropout ? weight : select_kept((words[l] << shift_bits) >= limit, weight * kept_scale);
        weights[l] = dropped;
        gradient[l] = scale * (dropped * gradient[l] - weight * dot);
      }
    });
  }
}

}  // namespace

void softmax_tile_forward(const SoftmaxTile& tile, const RunningSoftmax& running, float* s) {
  limit_to_visible(tile, s);
  const int64_t width = whole_runs(tile.columns);
  const float scale = scale_to_base_two(tile);
  for (int64_t row = 0; row < tile.rows; ++row) {
    const float before = running.maxima[row];
    const float largest = std::max(before, largest_logit(s + row * tile.row_stride, width) * scale);
    running.maxima[row] = largest;
    running.factors[row] = exp2_f32(before - (largest == -kInfinity ? 0.0F : largest));
  }
  tile.dropout.threshold > 0 ? weigh<true>(tile, running, s) : weigh<false>(tile, running, s);
}

void softmax_tile_backward(const SoftmaxTile& tile, const float* log2_sums, const float* dots, float* s, float* g) {
  limit_to_visible(tile, s);
  tile.dropout.threshold > 0 ? gradients<true>(tile, log2_sums, dots, s, g)
                             : gradients<false>(tile, log2_sums, dots, s, g);
  for (int64_t row = 0; row < tile.rows; ++row) {
    if (tile.is_blind(row)) std::fill_n(g + row * tile.row_stride, whole_runs(tile.columns), 0.0F);
  }
}

}  // namespace lra::engine
