// Sums of flat arrays, for code that has no graph.
#pragma once

#include <cstdint>

namespace lra::engine {

/// sum[i] += part[i] for i < count. The two do not overlap.
void add_to(const float* part, float* sum, int64_t count);

/// a[i] = b[i] + scale * c[i] for i < count. a overlaps neither.
void scaled_sum(const float* b, const float* c, float scale, float* a, int64_t count);

}  // namespace lra::engine
