#include "engine/kernels/softmax_tile.h"

#include <algorithm>
#include <limits>

#include "engine/kernels/vmath.h"

namespace lra::engine {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

float largest_logit(const float* s, const float* bias, int64_t columns) {
  float largest = -kInfinity;
#pragma omp simd reduction(max : largest)
  for (int64_t j = 0; j < columns; ++j) largest = std::max(largest, s[j] + bias[j]);
  return largest;
}

/// s_j = exp(scale s_j - shift), 0 where masked; returns the sum.
float exponentials(float scale, float shift, const float* bias, int64_t columns, float* s) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t j = 0; j < columns; ++j) {
    const float weight = exp_f32((s[j] + bias[j]) * scale - shift);
    s[j] = weight;
    sum += weight;
  }
  return sum;
}

}  // namespace

void softmax_tile_forward(const SoftmaxTile& tile, float* s, float* maxima, float* sums, float* factors) {
  for (int64_t row = 0; row < tile.rows; ++row, s += tile.row_stride) {
    const int64_t visible = tile.visible(row);
    std::fill(s + visible, s + tile.columns, 0.0F);
    if (row < tile.blind_rows) {
      std::fill(s, s + visible, 1.0F);
      factors[row] = sums[row] > 0.0F ? 1.0F : 0.0F;
      maxima[row] = 0.0F;
      sums[row] += static_cast<float>(visible);
      continue;
    }
    const float largest = std::max(maxima[row], largest_logit(s, tile.bias, visible) * tile.scale);
    // Nothing unmasked so far: any finite shift gives weights of 0.
    const float shift = largest == -kInfinity ? 0.0F : largest;
    factors[row] = exp_f32(maxima[row] - shift);
    maxima[row] = largest;
    sums[row] = sums[row] * factors[row] + exponentials(tile.scale, shift, tile.bias, visible, s);
  }
}

void softmax_tile_weights(const SoftmaxTile& tile, const float* log_sums, float* s) {
  for (int64_t row = 0; row < tile.rows; ++row, s += tile.row_stride) {
    const int64_t visible = tile.visible(row);
    std::fill(s + visible, s + tile.columns, 0.0F);
    if (row < tile.blind_rows) {
      std::fill(s, s + visible, exp_f32(-log_sums[row]));
    } else {
      const float shift = log_sums[row];
#pragma omp simd
      for (int64_t j = 0; j < visible; ++j) s[j] = exp_f32((s[j] + tile.bias[j]) * tile.scale - shift);
    }
  }
}

void softmax_tile_gradient(const SoftmaxTile& tile, const float* weights, const float* dropped_weights,
                           const float* dots, float* dropped_gradients) {
  for (int64_t row = 0; row < tile.rows; ++row) {
    const float* weight = weights + row * tile.row_stride;
    const float* dropped = dropped_weights + row * tile.row_stride;
    float* gradient = dropped_gradients + row * tile.row_stride;
    if (row < tile.blind_rows) {
      std::fill(gradient, gradient + tile.columns, 0.0F);
      continue;
    }
    const float dot = dots[row];
#pragma omp simd
    for (int64_t j = 0; j < tile.columns; ++j) {
      gradient[j] = tile.scale * (dropped[j] * gradient[j] - weight[j] * dot);
    }
  }
}

}  // namespace lra::engine
