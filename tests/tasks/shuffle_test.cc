// Permutations from a seed.
#include "tasks/shuffle.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace lra::tasks {
namespace {

TEST(ShuffledOrderTest, IsASeededPermutation) {
  std::vector<int64_t> order = shuffled_order(5, 1'001);
  EXPECT_EQ(order, shuffled_order(5, 1'001));
  EXPECT_NE(order, shuffled_order(6, 1'001));
  std::sort(order.begin(), order.end());
  for (size_t i = 0; i < order.size(); ++i) EXPECT_EQ(order[i], static_cast<int64_t>(i));
  EXPECT_TRUE(shuffled_order(5, 0).empty());
}

}  // namespace
}  // namespace lra::tasks
