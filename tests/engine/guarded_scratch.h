// Scratch for a kernel that is called directly: poisoned, aligned, and watched for writes past its end.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <vector>

#include "engine/aligned.h"

namespace lra::engine::testing {

class GuardedScratch {
 public:
  explicit GuardedScratch(size_t bytes) : bytes_(bytes), buffer_(bytes + kGuard, kPoison) {}
  std::byte* data() { return buffer_.data(); }
  /// Fails when something was written past the end.
  void check() const {
    EXPECT_TRUE(std::all_of(buffer_.begin() + static_cast<std::ptrdiff_t>(bytes_), buffer_.end(), [](std::byte b) {
      return b == kPoison;
    })) << "a kernel wrote past its scratch";
  }

 private:
  static constexpr size_t kGuard = 256;
  static constexpr std::byte kPoison{0xff};  // a NaN in every float
  size_t bytes_;
  AlignedVector<std::byte> buffer_;
};

}  // namespace lra::engine::testing
