// A stream of random 32-bit words that is a pure function of (seed, purpose, index): counter-based, no state to share.
#pragma once

#include <Random123/philox.h>

#include <array>
#include <cstdint>

namespace lra::tasks {

/// What random words are for; streams of different purposes are independent.
enum class StreamPurpose : uint32_t { kExample = 1, kShuffle = 2 };

/// Philox4x32-10 with the seed as key and (block, purpose, index) as counter. Source: Salmon et al., "Parallel Random
/// Numbers: As Easy as 1, 2, 3", SC 2011.
class PhiloxStream {
 public:
  PhiloxStream(uint64_t seed, StreamPurpose purpose, uint64_t index)
      : key_{{static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)}},
        counter_{
            {0, static_cast<uint32_t>(purpose), static_cast<uint32_t>(index), static_cast<uint32_t>(index >> 32)}} {}

  uint32_t next() {
    if (at_ == kBlockWords) refill();
    return block_[at_++];
  }

  /// Uniform in [0, bound); the bias is below bound / 2^64.
  uint64_t below(uint64_t bound) {
    const uint64_t high = next();
    const uint64_t word = high << 32 | next();
    __extension__ using Wide = unsigned __int128;
    return static_cast<uint64_t>(static_cast<Wide>(word) * bound >> 64);
  }

 private:
  static constexpr size_t kBlockWords = 4;

  void refill() {
    const auto words = r123::Philox4x32()(counter_, key_);
    for (size_t i = 0; i < kBlockWords; ++i) block_[i] = words[i];
    ++counter_[0];
    at_ = 0;
  }

  r123::Philox4x32::key_type key_;
  r123::Philox4x32::ctr_type counter_;
  std::array<uint32_t, kBlockWords> block_{};
  size_t at_ = kBlockWords;
};

}  // namespace lra::tasks
