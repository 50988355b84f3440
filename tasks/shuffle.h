// Permutations of examples that depend on a seed only.
#pragma once

#include <cstdint>
#include <vector>

namespace lra::tasks {

/// A permutation of [0, count).
std::vector<int64_t> shuffled_order(uint64_t seed, int64_t count);

}  // namespace lra::tasks
