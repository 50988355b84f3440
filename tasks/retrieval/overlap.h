// How alike two documents are that nobody reads: features of a probe.
#pragma once

#include <cstdint>
#include <span>

namespace lra::tasks::retrieval {

inline constexpr int kOverlapFeatures = 5;

/// The cosine and the common share of the counts of bytes, the same of pairs of neighbouring bytes (counted in 4,096
/// bins), and |log| of the ratio of lengths. Without tokens on one side, all are 0.
void overlap_features(std::span<const uint16_t> first, std::span<const uint16_t> second, std::span<float> features);

}  // namespace lra::tasks::retrieval
