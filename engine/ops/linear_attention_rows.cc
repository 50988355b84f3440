// The elementwise row loops of linear attention.
#include <algorithm>

#include "engine/kernels/fixed_width.h"
#include "engine/ops/linear_attention_kernels.h"

namespace lra::engine::linear_attention {
namespace {

/// Rows summed together before they touch the sum in memory, whose latency would bound the loop otherwise.
constexpr int64_t kGroup = 4;

}  // namespace

void zero_masked_rows(const float* mask, int64_t rows, int64_t columns, float* g) {
  for (int64_t row = 0; row < rows; ++row) {
    if (mask[row] == 0.0F) std::fill_n(g + row * columns, columns, 0.0F);
  }
}

void add_row_sum(int64_t rows, int64_t columns, const float* g, float* z) {
  with_width(columns, [=](auto width) {
    const float* at = g;
    int64_t row = 0;
    for (; row + kGroup <= rows; row += kGroup, at += kGroup * width) {
#pragma omp simd
      for (int64_t j = 0; j < width; ++j) {
        z[j] += (at[j] + at[width + j]) + (at[2 * width + j] + at[3 * width + j]);
      }
    }
    for (; row < rows; ++row, at += width) {
#pragma omp simd
      for (int64_t j = 0; j < width; ++j) z[j] += at[j];
    }
  });
}

void add_outer(int64_t rows, int64_t columns, const float* weights, const float* z, float* x) {
  with_width(columns, [=](auto width) {
    float* at = x;
    for (int64_t row = 0; row < rows; ++row, at += width) {
      const float weight = weights == nullptr ? 1.0F : weights[row];
#pragma omp simd
      for (int64_t j = 0; j < width; ++j) at[j] += weight * z[j];
    }
  });
}

void add_weighted_row_sum(int64_t rows, int64_t columns, const float* weights, const float* f, float* z) {
  with_width(columns, [=](auto width) {
    const float* at = f;
    int64_t row = 0;
    for (; row + kGroup <= rows; row += kGroup, at += kGroup * width) {
      const float w0 = weights[row], w1 = weights[row + 1], w2 = weights[row + 2], w3 = weights[row + 3];
#pragma omp simd
      for (int64_t j = 0; j < width; ++j) {
        z[j] += (w0 * at[j] + w1 * at[width + j]) + (w2 * at[2 * width + j] + w3 * at[3 * width + j]);
      }
    }
    for (; row < rows; ++row, at += width) {
      const float weight = weights[row];
#pragma omp simd
      for (int64_t j = 0; j < width; ++j) z[j] += weight * at[j];
    }
  });
}

void add_dot_products(int64_t rows, int64_t columns, const float* f, const float* z, float* denominators) {
  with_width(columns, [=](auto width) {
    for (int64_t row = 0; row < rows; ++row) {
      const float* at = f + row * width;
      float sum = 0;
#pragma omp simd reduction(+ : sum)
      for (int64_t j = 0; j < width; ++j) sum += at[j] * z[j];
      denominators[row] += sum;
    }
  });
}

void normalize_rows(const Norm& norm, int64_t rows, int64_t d_head, const float* denominators, float* o,
                    int64_t row_stride) {
  with_width(d_head, [=](auto width) {
    for (int64_t row = 0; row < rows; ++row) {
      float* at = o + row * row_stride;
      const float scale = norm.reciprocal(denominators[row]);
#pragma omp simd
      for (int64_t j = 0; j < width; ++j) at[j] *= scale;
    }
  });
}

void scale_rows(const Norm& norm, int64_t rows, int64_t d_head, const float* denominators, const Rows& output_gradient,
                float* c) {
  with_width(d_head, [=](auto width) {
    for (int64_t row = 0; row < rows; ++row) {
      const float* gradient = output_gradient.data + row * output_gradient.row_stride;
      float* scaled = c + row * width;
      const float scale = norm.reciprocal(denominators[row]);
#pragma omp simd
      for (int64_t j = 0; j < width; ++j) scaled[j] = gradient[j] * scale;
    }
  });
}

void normalizer_gradient(const Norm& norm, int64_t rows, int64_t d_head, const float* denominators, const Rows& o,
                         const Rows& output_gradient, float* c, float* e) {
  with_width(d_head, [=](auto width) {
    for (int64_t row = 0; row < rows; ++row) {
      const float* o_row = o.data + row * o.row_stride;
      const float* gradient = output_gradient.data + row * output_gradient.row_stride;
      float* scaled = c + row * width;
      const float scale = norm.reciprocal(denominators[row]);
      float dot = 0;
#pragma omp simd reduction(+ : dot)
      for (int64_t j = 0; j < width; ++j) {
        const float value = gradient[j] * scale;
        scaled[j] = value;
        dot += value * o_row[j];
      }
      e[row] = norm.passes(denominators[row]) ? -dot : 0.0F;
    }
  });
}

}  // namespace lra::engine::linear_attention
