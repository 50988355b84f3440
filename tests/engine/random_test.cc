// Streams: known blocks, independence of order, and the shapes of their distributions.
#include "engine/random.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <vector>

namespace lra::engine {
namespace {

TEST(PhiloxTest, EqualsTheKnownAnswersOfRandom123) {
  using Block = std::array<uint32_t, 4>;
  EXPECT_EQ(philox({0, 0, 0, 0}, {0, 0}), (Block{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}),
            (Block{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Block{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(KeyTest, DependsOnEveryWordAndOnTheirOrderAndNumber) {
  const std::set<uint64_t> keys = {mix_key({}),     mix_key({0}),    mix_key({0, 0}), mix_key({1, 0}),
                                   mix_key({0, 1}), mix_key({1, 2}), mix_key({2, 1}), mix_key({1, 2, 0})};
  EXPECT_EQ(keys.size(), 8U);
}

TEST(KeyTest, HashesNamesAsFnv1a) {
  EXPECT_EQ(hash_name(""), 0xcbf29ce484222325U);
  EXPECT_EQ(hash_name("a"), 0xaf63dc4c8601ec8cU);
  EXPECT_EQ(hash_name("foobar"), 0x85944171f73967e8U);
}

TEST(StreamTest, RepeatsItselfAndDiffersByPurposeNameAndSeed) {
  const auto draws = [](Stream stream) {
    std::vector<uint32_t> words(9);
    for (uint32_t& word : words) word = stream.next_u32();
    return words;
  };
  const std::vector<uint32_t> first = draws(Stream(1, Purpose::init, "a"));
  EXPECT_EQ(first, draws(Stream(1, Purpose::init, "a")));
  EXPECT_NE(first, draws(Stream(2, Purpose::init, "a")));
  EXPECT_NE(first, draws(Stream(1, Purpose::data, "a")));
  EXPECT_NE(first, draws(Stream(1, Purpose::init, "b")));
}

TEST(StreamTest, DrawsBlocksOfConsecutiveCountersUnderItsKey) {
  Stream stream(0x0123456789abcdefULL);
  for (uint32_t block = 0; block < 3; ++block)
    for (const uint32_t word : philox({block, 0, 0, 0}, {0x89abcdef, 0x01234567})) EXPECT_EQ(stream.next_u32(), word);
}

TEST(StreamTest, UniformHasTheMomentsOfTheUnitInterval) {
  Stream stream(5, Purpose::data);
  constexpr int kDraws = 200000;
  double sum = 0, squares = 0;
  for (int i = 0; i < kDraws; ++i) {
    const double u = stream.uniform();
    ASSERT_GE(u, 0);
    ASSERT_LT(u, 1);
    sum += u;
    squares += u * u;
  }
  EXPECT_NEAR(sum / kDraws, 0.5, 0.003);
  EXPECT_NEAR(squares / kDraws, 1.0 / 3, 0.003);
}

TEST(StreamTest, BelowIsUniformOverSmallBoundsAndWithinLargeOnes) {
  Stream stream(6, Purpose::shuffle);
  std::vector<int> counts(7);
  for (int i = 0; i < 70000; ++i) ++counts[stream.below(7)];
  for (const int count : counts) EXPECT_NEAR(count, 10000, 500);
  EXPECT_EQ(stream.below(1), 0U);
  constexpr uint64_t kLarge = (uint64_t{1} << 63) + 1;  // nearly half of all draws are refused
  for (int i = 0; i < 1000; ++i) EXPECT_LT(stream.below(kLarge), kLarge);
}

TEST(StreamTest, NormalHasTheMomentsOfTheStandardNormal) {
  Stream stream(7, Purpose::init, "weights");
  constexpr int kDraws = 200000;
  double moments[5] = {};
  for (int i = 0; i < kDraws; ++i) {
    const double z = stream.normal();
    ASSERT_TRUE(std::isfinite(z));
    for (int power = 1; power < 5; ++power) moments[power] += std::pow(z, power) / kDraws;
  }
  EXPECT_NEAR(moments[1], 0, 0.01);
  EXPECT_NEAR(moments[2], 1, 0.02);
  EXPECT_NEAR(moments[3], 0, 0.05);
  EXPECT_NEAR(moments[4], 3, 0.1);
}

}  // namespace
}  // namespace lra::engine
