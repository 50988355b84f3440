// Laying buffers out: never two live ones in one place, never more than all of them, gaps used.
#include "engine/arena_layout.h"

#include <gtest/gtest.h>

#include <random>

namespace lra::engine {
namespace {

int64_t aligned(int64_t bytes) { return (bytes + 63) / 64 * 64; }

TEST(ArenaLayoutTest, LiveBuffersNeverOverlap) {
  std::mt19937 random(1);
  const auto below = [&](int64_t bound) { return static_cast<int64_t>(random() % static_cast<uint64_t>(bound)); };
  for (int round = 0; round < 300; ++round) {
    std::vector<BufferLife> buffers(static_cast<size_t>(1 + below(60)));
    int64_t sum = 0, widest = 0;
    for (BufferLife& buffer : buffers) {
      const int64_t first = below(40);
      buffer = {.bytes = 1 + below(round % 3 == 0 ? 100 : 5000), .first = first, .last = first + below(12)};
      if (below(10) == 0) buffer.first = buffer.last = -1;  // never used
      if (buffer.first >= 0) sum += aligned(buffer.bytes);
    }
    const int64_t total = lay_out(buffers);
    for (int64_t step = 0; step < 60; ++step) {
      int64_t live = 0;
      for (const BufferLife& b : buffers)
        if (b.first >= 0 && b.first <= step && step <= b.last) live += aligned(b.bytes);
      widest = std::max(widest, live);
    }
    EXPECT_LE(total, sum);
    EXPECT_GE(total, widest);
    EXPECT_EQ(total % 64, 0);
    for (size_t i = 0; i < buffers.size(); ++i) {
      const BufferLife& a = buffers[i];
      if (a.first < 0) continue;
      EXPECT_EQ(a.offset % 64, 0);
      EXPECT_GE(a.offset, 0);
      EXPECT_LE(a.offset + a.bytes, total);
      for (size_t j = 0; j < i; ++j) {
        const BufferLife& b = buffers[j];
        const bool together = b.first >= 0 && a.first <= b.last && b.first <= a.last;
        const bool apart = a.offset + a.bytes <= b.offset || b.offset + b.bytes <= a.offset;
        ASSERT_TRUE(!together || apart) << "round " << round << " buffers " << i << " and " << j;
      }
    }
  }
}

TEST(ArenaLayoutTest, BuffersAfterOneAnotherShareTheirPlace) {
  std::vector<BufferLife> buffers = {{.bytes = 640, .first = 0, .last = 1}, {.bytes = 640, .first = 2, .last = 3}};
  EXPECT_EQ(lay_out(buffers), 640);
}

TEST(ArenaLayoutTest, BuffersThatMeetInOneStepDoNot) {
  std::vector<BufferLife> buffers = {{.bytes = 640, .first = 0, .last = 2}, {.bytes = 640, .first = 2, .last = 3}};
  EXPECT_EQ(lay_out(buffers), 1280);
}

TEST(ArenaLayoutTest, SmallBuffersFillGaps) {
  std::vector<BufferLife> buffers = {{.bytes = 256, .first = 0, .last = 1},
                                     {.bytes = 1024, .first = 0, .last = 5},
                                     {.bytes = 512, .first = 0, .last = 5},
                                     {.bytes = 64, .first = 3, .last = 4},
                                     {.bytes = 192, .first = 3, .last = 4}};
  EXPECT_EQ(lay_out(buffers), 256 + 1024 + 512);
}

TEST(ArenaLayoutTest, NothingTakesNothing) {
  std::vector<BufferLife> none, unused(3);
  EXPECT_EQ(lay_out(none), 0);
  EXPECT_EQ(lay_out(unused), 0);
}

}  // namespace
}  // namespace lra::engine
