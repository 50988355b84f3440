#include "tasks/retrieval/overlap.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace lra::tasks::retrieval {
namespace {

constexpr size_t kBins = 4096;
using Histogram = std::array<float, kBins>;

Histogram count_bytes(std::span<const uint16_t> tokens) {
  Histogram histogram{};
  for (const uint16_t token : tokens) histogram[token % kBins] += 1;
  return histogram;
}

Histogram count_pairs(std::span<const uint16_t> tokens) {
  constexpr uint32_t kMultiplier = 2654435761U;  // Knuth's multiplicative hash
  constexpr uint32_t kUnusedBits = 32 - 12;
  Histogram histogram{};
  for (size_t i = 1; i < tokens.size(); ++i) {
    const uint32_t pair = static_cast<uint32_t>(tokens[i - 1]) << 16 | tokens[i];
    histogram[pair * kMultiplier >> kUnusedBits] += 1;
  }
  return histogram;
}

/// Their cosine, and which share of the smaller total both have in common.
void compare(const Histogram& a, const Histogram& b, float& cosine, float& common) {
  float aa = 0, bb = 0, ab = 0, sum_a = 0, sum_b = 0, least = 0;
  for (size_t i = 0; i < kBins; ++i) {
    aa += a[i] * a[i];
    bb += b[i] * b[i];
    ab += a[i] * b[i];
    sum_a += a[i];
    sum_b += b[i];
    least += std::min(a[i], b[i]);
  }
  cosine = ab > 0 ? ab / std::sqrt(aa * bb) : 0;
  common = least > 0 ? least / std::min(sum_a, sum_b) : 0;
}

}  // namespace

void overlap_features(std::span<const uint16_t> first, std::span<const uint16_t> second, std::span<float> features) {
  std::fill(features.begin(), features.end(), 0.0F);
  if (first.empty() || second.empty()) return;
  compare(count_bytes(first), count_bytes(second), features[0], features[1]);
  compare(count_pairs(first), count_pairs(second), features[2], features[3]);
  const auto ratio = static_cast<float>(first.size()) / static_cast<float>(second.size());
  features[4] = std::abs(std::log(ratio));
}

}  // namespace lra::tasks::retrieval
