#include "tasks/parallel.h"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <vector>

#include "engine/errors.h"

namespace lra::tasks {
namespace {

TEST(ParallelForTest, CallsEveryItemOnceOnAnyNumberOfThreads) {
  for (const int threads : {1, 2, 3, 64}) {
    std::vector<std::atomic<int>> calls(37);
    parallel_for(37, threads, [&](int64_t i) { ++calls[static_cast<size_t>(i)]; });
    for (const auto& count : calls) EXPECT_EQ(count, 1);
  }
}

TEST(ParallelForTest, NoItemsIsNoWork) {
  parallel_for(0, 4, [](int64_t) { FAIL(); });
}

TEST(ParallelForTest, AnExceptionComesBackToTheCaller) {
  for (const int threads : {1, 3}) {
    EXPECT_THROW(parallel_for(100, threads,
                              [](int64_t i) {
                                if (i == 5) throw std::runtime_error("five");
                              }),
                 std::runtime_error);
  }
}

TEST(ResolveThreadsTest, ZeroIsTheNumberOfProcessorsAndAbsurdNumbersAreRefused) {
  EXPECT_GE(resolve_threads(0), 1);
  EXPECT_EQ(resolve_threads(3), 3);
  EXPECT_THROW(resolve_threads(-1), UsageError);
  EXPECT_THROW(resolve_threads(1'000'000), UsageError);
}

}  // namespace
}  // namespace lra::tasks
