// The products of tiles against sums in double: all extents of the row groups, panels and vectors, and their tails.
#include "engine/kernels/tile_products.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "tests/engine/nan.h"

namespace lra::engine {
namespace {

/// Rows with poison between them.
struct Matrix {
  int64_t rows, columns, row_stride;
  std::vector<float> values;
  Matrix(int64_t rows_, int64_t columns_, uint32_t seed, int64_t gap = 3)
      : rows(rows_),
        columns(columns_),
        row_stride(columns_ + gap),
        values(static_cast<size_t>(rows_ * row_stride), kNaN) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t j = 0; j < columns; ++j) at(i, j) = normal(random);
    }
  }
  float& at(int64_t i, int64_t j) { return values[static_cast<size_t>(i * row_stride + j)]; }
  float* data() { return values.data(); }
  bool gaps_untouched() {
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t j = columns; j < row_stride; ++j) {
        if (!std::isnan(at(i, j))) return false;
      }
    }
    return true;
  }
};

/// What rounding may leave of a sum of `terms` products of normal values.
double tolerance(int64_t terms) { return 1e-6 * (4.0 + static_cast<double>(terms)); }

void expect_panel_product(int64_t rows, int64_t columns, int64_t depth, bool bias) {
  Matrix a(rows, depth, 1), b(columns, depth, 2);
  const int64_t padded = padded_width(columns);
  Matrix added(1, padded, 3), c(rows, padded, 4);
  std::fill(c.values.begin(), c.values.end(), kNaN);
  std::vector<float> panels(static_cast<size_t>(padded_to_panels(columns) * depth), kNaN);
  pack_panels(b.data(), b.row_stride, columns, depth, panels.data());
  multiply(PanelProduct{.rows = rows,
                        .depth = depth,
                        .columns = padded,
                        .a = a.data(),
                        .a_row_stride = a.row_stride,
                        .panels = panels.data(),
                        .bias = bias ? added.data() : nullptr,
                        .c = c.data(),
                        .c_row_stride = c.row_stride});
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < padded; ++j) {
      double want = bias ? double{added.at(0, j)} : 0.0;
      for (int64_t t = 0; t < depth && j < columns; ++t) want += double{a.at(i, t)} * double{b.at(j, t)};
      ASSERT_NEAR(c.at(i, j), want, tolerance(depth))
          << rows << "x" << columns << "x" << depth << " at " << i << ", " << j;
    }
  }
  EXPECT_TRUE(c.gaps_untouched());
}

TEST(PanelProductTest, MatchesSumsInDouble) {
  for (const int64_t rows : {1, 2, 7, 8, 13, 64}) {
    for (const int64_t columns : {1, 15, 16, 33, 48, 49, 100, 192}) {
      for (const int64_t depth : {1, 5, 32}) expect_panel_product(rows, columns, depth, depth == 5 || rows == 8);
    }
  }
}

void expect_row_product(int64_t m, int64_t n, int64_t k, bool transpose_a, bool accumulate) {
  Matrix a(transpose_a ? k : m, transpose_a ? m : k, 1), b(k, n, 2), c(m, n, 3);
  Matrix before = c;
  if (!accumulate) std::fill(c.values.begin(), c.values.end(), kNaN);
  multiply(RowProduct{.m = m,
                      .n = n,
                      .k = k,
                      .a = a.data(),
                      .a_row_stride = a.row_stride,
                      .b = b.data(),
                      .b_row_stride = b.row_stride,
                      .c = c.data(),
                      .c_row_stride = c.row_stride,
                      .transpose_a = transpose_a,
                      .accumulate = accumulate});
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      double want = accumulate ? double{before.at(i, j)} : 0.0;
      for (int64_t t = 0; t < k; ++t) want += double{transpose_a ? a.at(t, i) : a.at(i, t)} * double{b.at(t, j)};
      ASSERT_NEAR(c.at(i, j), want, tolerance(k)) << m << "x" << n << "x" << k << " at " << i << ", " << j;
    }
  }
  EXPECT_TRUE(c.gaps_untouched());
}

TEST(RowProductTest, MatchesSumsInDouble) {
  for (const bool transpose_a : {false, true}) {
    for (const bool accumulate : {false, true}) {
      for (const int64_t m : {1, 3, 8, 12, 29, 64}) {
        for (const int64_t n : {16, 32, 48, 80}) {
          for (const int64_t k : {1, 31, 64}) expect_row_product(m, n, k, transpose_a, accumulate);
        }
      }
    }
  }
}

TEST(CopyPaddedTest, FillsRowsUpWithZeros) {
  Matrix x(3, 5, 1);
  std::vector<float> y(3 * 16 + 1, kNaN);
  copy_padded(x.data(), x.row_stride, 3, 5, y.data());
  for (int64_t i = 0; i < 3; ++i) {
    for (int64_t j = 0; j < 16; ++j) EXPECT_EQ(y[static_cast<size_t>(16 * i + j)], j < 5 ? x.at(i, j) : 0.0F);
  }
  EXPECT_TRUE(std::isnan(y.back()));
}

}  // namespace
}  // namespace lra::engine
