// The order of measurement: everybody gets their parts, spread over the whole time, in an order that the seed decides.
#include "harness/interleave.h"

#include <gtest/gtest.h>

#include <set>

namespace lra::harness {
namespace {

std::vector<std::vector<size_t>> rounds_of(const std::vector<Turn>& turns, size_t candidates) {
  std::vector<std::vector<size_t>> rounds;
  for (const Turn& turn : turns) {
    if (rounds.empty() || rounds.back().size() == candidates) rounds.emplace_back();
    rounds.back().push_back(turn.candidate);
  }
  return rounds;
}

TEST(InterleaveTest, GivesEachCandidateItsParts) {
  const std::vector<int64_t> needed = {5, 100, 0, 37};
  std::vector<int64_t> got(needed.size());
  for (const Turn& turn : interleave(needed, 1)) {
    EXPECT_GT(turn.parts, 0);
    got[turn.candidate] += turn.parts;
  }
  EXPECT_EQ(got, needed);
}

TEST(InterleaveTest, SpreadsFastCandidatesOverAllRoundsOfTheSlowest) {
  const std::vector<int64_t> needed = {5, 100};
  const std::vector<Turn> turns = interleave(needed, 7);
  ASSERT_EQ(turns.size(), 10U);
  for (const Turn& turn : turns) EXPECT_EQ(turn.parts, turn.candidate == 0 ? 1 : 20);
  for (const std::vector<size_t>& round : rounds_of(turns, 2))
    EXPECT_EQ(std::set<size_t>(round.begin(), round.end()), (std::set<size_t>{0, 1}));
}

TEST(InterleaveTest, ShufflesEachRoundFromTheSeed) {
  const std::vector<int64_t> needed = {8, 8, 8};
  const auto order = [&](uint64_t seed) { return rounds_of(interleave(needed, seed), 3); };
  EXPECT_EQ(order(3), order(3));
  EXPECT_NE(order(3), order(4));
  const auto rounds = order(3);
  EXPECT_GT(std::set(rounds.begin(), rounds.end()).size(), 1U);  // not one order throughout
}

TEST(InterleaveTest, OfNobodyIsEmpty) {
  EXPECT_TRUE(interleave({}, 0).empty());
  EXPECT_TRUE(interleave(std::vector<int64_t>{0, 0}, 0).empty());
}

}  // namespace
}  // namespace lra::harness
