#include "engine/kernels/tile_products.h"

#include <algorithm>
#include <type_traits>

namespace lra::engine {
namespace {

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
constexpr int kRowsAtOnce = 8;
constexpr int kColumnsAtOnce = 12;
constexpr int kPanelVectors = 3;
#elif defined(__AVX__)
constexpr int kVectorBytes = 32;
constexpr int kRowsAtOnce = 4;
constexpr int kColumnsAtOnce = 4;
constexpr int kPanelVectors = 2;
#else
constexpr int kVectorBytes = 16;
constexpr int kRowsAtOnce = 4;
constexpr int kColumnsAtOnce = 4;
constexpr int kPanelVectors = 2;
#endif
constexpr int64_t kVectorLanes = kVectorBytes / 4;

using Vector = float __attribute__((vector_size(kVectorBytes)));
// The attributes belong to the name: after `float`, Clang takes its alignment from the vector all the same.
using UnalignedVector __attribute__((vector_size(kVectorBytes), aligned(4), may_alias)) = float;

/// Vector number v of a row. By value: as a reference it becomes an aligned one again in Clang's conditional operator.
inline Vector load(const float* row, int64_t v) {
  return *reinterpret_cast<const UnalignedVector*>(row + v * kVectorLanes);
}
inline void store(float* row, int64_t v, Vector value) {
  *reinterpret_cast<UnalignedVector*>(row + v * kVectorLanes) = value;
}

/// Sums over k in registers: acc[i][v] += a(i, k) b(k, v), with a in either order of storage.
template <int kRows, int kVectors, bool kTransposeA, bool kBias, bool kAccumulate>
inline void multiply_registers(int64_t depth, const float* a, int64_t a_row_stride, const float* b,
                               int64_t b_row_stride, const float* bias, float* c, int64_t c_row_stride) {
  // Unrolled from the start, so that the sums are registers and not an array that is copied to and fro.
  Vector sums[kRows][kVectors];
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      sums[i][v] = kAccumulate ? load(c + i * c_row_stride, v) : kBias ? load(bias, v) : Vector{};
    }
  }
  for (int64_t t = 0; t < depth; ++t) {
    Vector column[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) column[v] = load(b + t * b_row_stride, v);
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) {
      const float factor = kTransposeA ? a[t * a_row_stride + i] : a[i * a_row_stride + t];
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) sums[i][v] += factor * column[v];
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) store(c + i * c_row_stride, v, sums[i][v]);
  }
}

/// Calls group(constant, first) for groups of kRows rows, then for what is left in groups of half as many, and so on.
template <int kRows, class Group>
inline void for_row_groups(int64_t rows, const Group& group, int64_t first = 0) {
  for (; first + kRows <= rows; first += kRows) group(std::integral_constant<int, kRows>{}, first);
  if constexpr (kRows > 1) for_row_groups<kRows / 2>(rows, group, first);
}

/// Columns [column, column + kVectors vectors) of a panel product; b: their part of the panel.
template <bool kBias, int kVectors>
void multiply_columns(const PanelProduct& p, const float* b, int64_t column) {
  for_row_groups<kRowsAtOnce>(p.rows, [&](auto rows, int64_t row) {
    multiply_registers<rows, kVectors, false, kBias, false>(p.depth, p.a + row * p.a_row_stride, p.a_row_stride, b,
                                                            kPanelColumns, kBias ? p.bias + column : nullptr,
                                                            p.c + row * p.c_row_stride + column, p.c_row_stride);
  });
}

template <bool kBias>
void multiply_panels(const PanelProduct& p) {
  constexpr int64_t kStep = kPanelVectors * kVectorLanes;
  static_assert(kPanelColumns % kStep == 0);
  for (int64_t first = 0; first < p.columns; first += kPanelColumns) {
    const float* panel = p.panels + first * p.depth;
    const int64_t end = std::min(p.columns, first + kPanelColumns);
    int64_t column = first;
    for (; column + kStep <= end; column += kStep)
      multiply_columns<kBias, kPanelVectors>(p, panel + column - first, column);
    for (; column < end; column += kVectorLanes) multiply_columns<kBias, 1>(p, panel + column - first, column);
  }
}

template <bool kTransposeA, bool kAccumulate>
void multiply_rows(const RowProduct& p) {
  for_row_groups<kTransposeA ? kColumnsAtOnce : kRowsAtOnce>(p.m, [&](auto rows, int64_t row) {
    const float* a = p.a + row * (kTransposeA ? 1 : p.a_row_stride);
    float* c = p.c + row * p.c_row_stride;
    const auto columns = [&](auto vectors, int64_t column) {
      multiply_registers<rows, vectors, kTransposeA, false, kAccumulate>(
          p.k, a, p.a_row_stride, p.b + column, p.b_row_stride, nullptr, c + column, p.c_row_stride);
    };
    int64_t column = 0;
    for (; column + 2 * kVectorLanes <= p.n; column += 2 * kVectorLanes) {
      columns(std::integral_constant<int, 2>{}, column);
    }
    if (column < p.n) columns(std::integral_constant<int, 1>{}, column);
  });
}

}  // namespace

void pack_panels(const float* x, int64_t row_stride, int64_t count, int64_t depth, float* panels) {
  for (int64_t first = 0; first < count; first += kPanelColumns, panels += depth * kPanelColumns) {
    const int64_t columns = std::min(kPanelColumns, count - first);
    for (int64_t t = 0; t < depth; ++t) {
      const float* from = x + first * row_stride + t;
      float* to = panels + t * kPanelColumns;
      for (int64_t j = 0; j < columns; ++j) to[j] = from[j * row_stride];
      std::fill(to + columns, to + kPanelColumns, 0.0F);
    }
  }
}

void copy_padded(const float* x, int64_t row_stride, int64_t count, int64_t width, float* y) {
  const int64_t padded = padded_width(width);
  for (int64_t row = 0; row < count; ++row, x += row_stride, y += padded) {
#pragma omp simd
    for (int64_t t = 0; t < width; ++t) y[t] = x[t];
    if (width < padded) std::fill(y + width, y + padded, 0.0F);
  }
}

void multiply(const PanelProduct& product) {
  product.bias == nullptr ? multiply_panels<false>(product) : multiply_panels<true>(product);
}

void multiply(const RowProduct& product) {
  if (product.transpose_a) {
    product.accumulate ? multiply_rows<true, true>(product) : multiply_rows<true, false>(product);
  } else {
    product.accumulate ? multiply_rows<false, true>(product) : multiply_rows<false, false>(product);
  }
}

}  // namespace lra::engine
