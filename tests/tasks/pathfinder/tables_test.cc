// What the generator looks up: orientations that the border rule leaves, turns, and operations on bits.
#include "tasks/pathfinder/tables.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "engine/errors.h"
#include "tests/temporary_directory.h"

namespace lra::tasks::pathfinder {
namespace {

using ::testing::HasSubstr;

/// Degrees of a range, both ends included.
std::vector<int> range(int first, int last) {
  std::vector<int> degrees;
  for (int degree = first; degree <= last; ++degree) degrees.push_back(degree);
  return degrees;
}

std::vector<int> survivors(int size, int margin, Rendering render) {
  GeneratorParameters parameters = default_parameters(size, Difficulty::kHard);
  parameters.paddle_margin_list = {margin};
  parameters.render = render;
  const Tables tables(parameters);
  std::vector<int> degrees;
  for (int degree = 0; degree < kDegrees; ++degree) {
    if (tables.margin(0).survives[static_cast<size_t>(degree)]) degrees.push_back(degree + kFirstDegree);
  }
  return degrees;
}

std::vector<int> without(std::vector<int> degrees, int first, int last) {
  std::erase_if(degrees, [&](int degree) { return degree >= first && degree <= last; });
  return degrees;
}

// The lists were measured by running the original program (8-bit masks), and with its drawing in floats.
TEST(BorderRuleTest, LeavesTheOrientationsOfTheOriginalProgram) {
  EXPECT_EQ(survivors(32, 1, Rendering::kOriginal), range(-150, -121));
  EXPECT_EQ(survivors(64, 1, Rendering::kOriginal), without(range(-180, -85), -135, -135));
  EXPECT_EQ(survivors(128, 2, Rendering::kOriginal), without(range(-180, 179), -59, -54));
  EXPECT_EQ(survivors(128, 3, Rendering::kOriginal), range(-180, 179));
  EXPECT_EQ(survivors(256, 3, Rendering::kOriginal), range(-180, 179));
}

TEST(BorderRuleTest, LeavesMoreOrientationsWithMasksInFloats) {
  EXPECT_EQ(survivors(32, 1, Rendering::kRelease), range(-165, -105));
  EXPECT_EQ(survivors(64, 1, Rendering::kRelease), range(-180, -79));
  EXPECT_EQ(survivors(128, 2, Rendering::kRelease), range(-180, 179));
  EXPECT_EQ(survivors(128, 3, Rendering::kRelease), range(-180, 179));
  EXPECT_EQ(survivors(256, 3, Rendering::kRelease), range(-180, 179));
}

TEST(BorderRuleTest, RelaxedLeavesAll) {
  GeneratorParameters parameters = default_parameters(32, Difficulty::kHard);
  parameters.border = Border::kRelaxed;
  const Tables tables(parameters);
  EXPECT_EQ(std::count(tables.margin(0).survives.begin(), tables.margin(0).survives.end(), true), kDegrees);
}

// Ranges seen in 2,040, 73 and 109 images of the original program.
TEST(TablesTest, FirstTailsAreWhereTheOriginalProgramPutsThem) {
  struct Expected {
    int size, margin, least, most;
  };
  for (const Expected& expected : {Expected{32, 1, 14, 16}, Expected{64, 1, 24, 38}, Expected{128, 2, 41, 85}}) {
    GeneratorParameters parameters = default_parameters(expected.size, Difficulty::kHard);
    parameters.paddle_margin_list = {expected.margin};
    parameters.render = Rendering::kOriginal;
    const Tables tables(parameters);
    int least = expected.size;
    int most = 0;
    for (const Places& places : tables.margin(0).first_tails) {
      for (int rank = 0; rank < places.count; ++rank) {
        const Point tail = places.plane.find(rank);
        least = std::min({least, tail.y, tail.x});
        most = std::max({most, tail.y, tail.x});
      }
    }
    EXPECT_LE(std::abs(least - expected.least), 1) << expected.size;
    EXPECT_LE(std::abs(most - expected.most), 1) << expected.size;
  }
}

TEST(TablesTest, RefusesParametersThatLeaveNoFirstPaddle) {
  GeneratorParameters parameters = default_parameters(32, Difficulty::kHard);
  parameters.seed_distance = 8;  // twice that from each side is all of the image
  const auto error = testing::thrown_by<UsageError>([&] { const Tables tables(parameters); });
  EXPECT_THAT(error.what(), HasSubstr("no first paddle fits"));
  EXPECT_THAT(error.hint(), HasSubstr("task.border=relaxed"));
}

TEST(TurnWeightTest, FallsWithTheAngleUntilARightAngleOfContinuity) {
  EXPECT_DOUBLE_EQ(turn_weight(1, 1, 1.8), 1);
  EXPECT_DOUBLE_EQ(turn_weight(3, -3, 1), turn_weight(0, 2 * M_PI - 6, 1));  // the shorter way round
  EXPECT_NEAR(turn_weight(0, M_PI / 3, 1), 0.25, 1e-15);
  EXPECT_EQ(turn_weight(0, M_PI / 3, 1.8), 0);
}

TEST(CircleOffsetsTest, AreSortedAndOncePerPixel) {
  const std::vector<Point> offsets = circle_offsets(3);
  EXPECT_EQ(offsets.size(), 18U);
  for (size_t i = 1; i < offsets.size(); ++i) {
    EXPECT_LT(std::pair(offsets[i - 1].y, offsets[i - 1].x), std::pair(offsets[i].y, offsets[i].x));
  }
  EXPECT_EQ(offsets.front(), (Point{-3, -2}));
  EXPECT_EQ(offsets.back(), (Point{2, 1}));
}

TEST(BitPlaneTest, MovesRowsAcrossWordsAndForgetsWhatLeavesTheSquare) {
  for (const int side : {32, 64, 128, 200}) {
    BitPlane plane(side);
    std::vector<int> set;
    for (int x = 0; x < side; x += 7) set.push_back(x);
    for (const int x : set) plane.set({3, x});
    for (const int dx : {-70, -64, -1, 0, 1, 5, 63, 64, 65}) {
      BitPlane::Row row{};
      plane.merge_moved(3, dx, row);
      plane.trim(row);
      for (int x = 0; x < side; ++x) {
        const int from = x + dx;
        const bool expected = from >= 0 && from < side && from % 7 == 0;
        EXPECT_EQ((row[static_cast<size_t>(x / 64)] >> (x % 64) & 1) != 0, expected) << side << " " << dx << " " << x;
      }
    }
    EXPECT_EQ(plane.count(), static_cast<int>(set.size()));
    for (size_t rank = 0; rank < set.size(); ++rank) {
      EXPECT_EQ(plane.find(static_cast<int>(rank)), (Point{3, set[rank]}));
    }
    plane.invert();
    EXPECT_EQ(plane.count(), side * side - static_cast<int>(set.size()));
  }
}

}  // namespace
}  // namespace lra::tasks::pathfinder
