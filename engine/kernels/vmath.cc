#include "engine/kernels/vmath.h"

namespace lra::engine {

void exp_f32(const float* x, float* y, int64_t count) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) y[i] = exp_f32(x[i]);
}

void exp2_f32(const float* x, float* y, int64_t count) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) y[i] = exp2_f32(x[i]);
}

void tanh_f32(const float* x, float* y, int64_t count) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) y[i] = tanh_f32(x[i]);
}

void erf_f32(const float* x, float* y, int64_t count) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) y[i] = erf_f32(x[i]);
}

void normal_f32(const float* x, float* cdf, float* density, int64_t count) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) {
    const NormalPoint<float> at = normal_f32(x[i]);
    cdf[i] = at.cdf;
    density[i] = at.density;
  }
}

}  // namespace lra::engine
