// The vectorised decisions of dropout against the scalar definition, at every alignment.
#include "engine/kernels/dropout_mask.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "engine/kernels/philox_lanes.h"

namespace lra::engine {
namespace {

constexpr ExampleKeys kKeys{.seed = 7, .step = 1234, .example = 56789};
constexpr uint32_t kThreshold = 6554;  // p = 0.1

TEST(PhiloxLanesTest, EqualTheScalarBlocks) {
  PhiloxLanes fast, portable;
  for (const uint64_t key : {uint64_t{0}, ~uint64_t{0}, uint64_t{0x0123456789abcdef}}) {
    for (const uint32_t first : {0U, 5U, 0xfffffff8U}) {  // the last wraps around
      philox_lanes(key, first, 3, 0xffffffff, 17, fast);
      philox_lanes_portable(key, first, 3, 0xffffffff, 17, portable);
      for (uint32_t l = 0; l < kPhiloxLanes; ++l) {
        const auto block = philox({first + l, 3, 0xffffffff, 17},
                                  {static_cast<uint32_t>(key), static_cast<uint32_t>(key >> 32)}, kDropoutRounds);
        for (size_t word = 0; word < 4; ++word) {
          EXPECT_EQ(fast.words[word][l], block[word]);
          EXPECT_EQ(portable.words[word][l], block[word]);
        }
      }
    }
  }
}

TEST(DropoutMaskTest, LaysDecisionsOutAsDocumented) {
  const uint64_t key = dropout_key(7, 11, 2);
  const auto words = philox({9, 40 / 8, kKeys.example, kKeys.step},
                            {static_cast<uint32_t>(key), static_cast<uint32_t>(key >> 32)}, kDropoutRounds);
  for (int64_t r = 0; r < 8; ++r) {
    const uint32_t bits = (words[static_cast<size_t>(r / 2)] >> (16 * (r % 2))) & 0xffff;
    EXPECT_EQ(keep(key, kKeys, bits, 40 + r, 9), true);
    EXPECT_EQ(keep(key, kKeys, bits + 1, 40 + r, 9), false);
  }
}

TEST(DropoutMaskTest, WindowsOfAnyAlignmentEqualTheScalarDecision) {
  const uint64_t key = dropout_key(7, 11, 0);
  constexpr int64_t kStride = 64;
  constexpr float kUntouched = -1;
  for (const int64_t row_begin : {0, 3, 7, 8, 21}) {
    for (const int64_t rows : {0, 1, 5, 8, 19}) {
      for (const int64_t column_begin : {0, 1, 16, 1000003}) {
        for (const int64_t columns : {0, 1, 15, 16, 17, 51}) {
          std::vector<float> scales(static_cast<size_t>(20 * kStride), kUntouched);
          dropout_scales({key, kKeys, kThreshold, 2.0f, row_begin, rows, column_begin, columns}, scales.data(),
                         kStride);
          for (int64_t i = 0; i < 20; ++i) {
            for (int64_t j = 0; j < kStride; ++j) {
              const bool inside = i < rows && j < columns;
              const bool kept = keep(key, kKeys, kThreshold, row_begin + i, column_begin + j);
              ASSERT_EQ(scales[static_cast<size_t>(i * kStride + j)], inside ? (kept ? 2.0f : 0.0f) : kUntouched)
                  << row_begin << " " << rows << " " << column_begin << " " << columns << ": " << i << ", " << j;
            }
          }
        }
      }
    }
  }
}

TEST(DropoutMaskTest, FormsOfApplicationAgree) {
  constexpr int64_t kRows = 13, kColumns = 37, kStride = 40;
  const DropoutWindow window{dropout_key(1, 2, 3), kKeys, 20000, 1.5f, 5, kRows, 2, kColumns};
  std::vector<float> scales(kRows * kStride, 0), x(kRows * kStride), residual(x), applied(x), added(x);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i) - 3.5f, residual[i] = 0.25f * x[i] + 1;
  dropout_scales(window, scales.data(), kStride);
  apply_dropout(window, x.data(), kStride, applied.data(), kStride);
  add_dropout(window, residual.data(), kStride, x.data(), kStride, added.data(), kStride);
  std::vector<float> multiplied = x;
  multiply_dropout(window.key, kKeys, window.threshold, window.scale, 5, kRows, 2, kColumns, multiplied.data(),
                   kStride);
  for (int64_t i = 0; i < kRows; ++i) {
    for (int64_t j = 0; j < kColumns; ++j) {
      const auto at = static_cast<size_t>(i * kStride + j);
      EXPECT_EQ(applied[at], x[at] * scales[at]);
      EXPECT_EQ(multiplied[at], applied[at]);
      EXPECT_NEAR(added[at], residual[at] + applied[at], 1e-4);
    }
  }
}

TEST(DropoutMaskTest, DroppedElementsAreZeroWhateverTheyWere) {
  std::vector<float> x(64 * 64, std::numeric_limits<float>::infinity());
  multiply_dropout({dropout_key(1, 2, 3), kKeys, 32768, 2.0f, 0, 64, 0, 64}, x.data(), 64);
  for (const float value : x) EXPECT_TRUE(value == 0 || std::isinf(value));
}

TEST(DropoutMaskTest, DropsAtTheRateOfTheThresholdInEveryRowClass) {
  constexpr int64_t kRows = 256, kColumns = 512;
  std::vector<float> scales(kRows * kColumns);
  dropout_scales({dropout_key(3, 1, 4), kKeys, kThreshold, 1.0f, 0, kRows, 0, kColumns}, scales.data(), kColumns);
  double kept[8] = {};
  double neighbours = 0;
  for (int64_t i = 0; i < kRows; ++i) {
    for (int64_t j = 0; j < kColumns; ++j) {
      const auto at = static_cast<size_t>(i * kColumns + j);
      kept[i % 8] += double{scales[at]} / (kRows / 8 * kColumns);
      if (j > 0) neighbours += double{scales[at]} * double{scales[at - 1]} / (kRows * (kColumns - 1));
    }
  }
  for (const double rate : kept) EXPECT_NEAR(rate, 0.9, 0.01);
  EXPECT_NEAR(neighbours, 0.81, 0.005);
}

TEST(DropoutMaskTest, EveryKeyChangesTheMask) {
  const auto mask = [](uint64_t key, const ExampleKeys& keys) {
    std::vector<float> scales(32 * 32);
    dropout_scales({key, keys, 32768, 1.0f, 0, 32, 0, 32}, scales.data(), 32);
    return scales;
  };
  const std::vector<float> first = mask(dropout_key(1, 2, 3), kKeys);
  EXPECT_EQ(first, mask(dropout_key(1, 2, 3), kKeys));
  EXPECT_NE(first, mask(dropout_key(2, 2, 3), kKeys));
  EXPECT_NE(first, mask(dropout_key(1, 3, 3), kKeys));
  EXPECT_NE(first, mask(dropout_key(1, 2, 4), kKeys));
  EXPECT_NE(first, mask(dropout_key(1, 2, 3), {.seed = 7, .step = 1235, .example = 56789}));
  EXPECT_NE(first, mask(dropout_key(1, 2, 3), {.seed = 7, .step = 1234, .example = 56790}));
}

}  // namespace
}  // namespace lra::engine
