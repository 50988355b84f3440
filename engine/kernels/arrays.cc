#include "engine/kernels/arrays.h"

namespace lra::engine {

void add_to(const float* part, float* sum, int64_t count) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) sum[i] += part[i];
}

void scaled_sum(const float* b, const float* c, float scale, float* a, int64_t count) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) a[i] = b[i] + scale * c[i];
}

}  // namespace lra::engine
