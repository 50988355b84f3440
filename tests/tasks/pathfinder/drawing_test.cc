// Paddles and discs look as the original program's, which draws with Pillow.
#include "tasks/pathfinder/drawing.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace lra::tasks::pathfinder {
namespace {

/// Sums that any difference changes: of 8-bit values weighted by their place, of real ones by its root.
int64_t weighted_bits(const Patch& patch) {
  int64_t sum = 0;
  for (size_t i = 0; i < patch.values.size(); ++i) {
    sum += std::lround(patch.values[i] * 255) * static_cast<int64_t>(i + 1);
  }
  return sum;
}

double weighted_values(const Patch& patch) {
  double sum = 0;
  for (size_t i = 0; i < patch.values.size(); ++i) sum += patch.values[i] * std::sqrt(static_cast<double>(i + 1));
  return sum;
}

struct Drawn {
  int size = 0;
  int margin = 0;
  int degrees = 0;
  int64_t line_bits = 0;
  int64_t room_bits = 0;
  double line_values = 0;
  double room_values = 0;
};

TEST(DrawPaddleTest, IsWhatPillowDraws) {
  // From Pillow 9.4: ImageDraw.line on a canvas of fine pixels, dilated by a disc, resize(..., LANCZOS) as `L` and `F`.
  const Drawn cases[] = {
      {32, 1, -150, 12812, 72350, 6.668641, 46.396660},
      {32, 1, -47, 13418, 75610, 6.822754, 47.506079},
      {32, 1, 0, 14918, 98917, 9.121023, 59.631496},
      {32, 1, 20, 20435, 112999, 9.685489, 63.390569},
      {32, 1, 90, 18422, 118326, 9.973509, 65.181501},
      {32, 1, 133, 16878, 96872, 7.732822, 53.890365},
      {64, 1, -150, 133404, 415631, 49.808749, 168.793740},
      {64, 1, -47, 156122, 427256, 58.521214, 169.930078},
      {64, 1, 0, 203379, 644324, 64.303077, 227.349536},
      {64, 1, 20, 152493, 649520, 43.441966, 216.671997},
      {64, 1, 90, 260523, 817616, 72.308452, 255.520907},
      {64, 1, 133, 233460, 677415, 69.135657, 219.726348},
      {128, 2, -150, 366675, 1777114, 111.176197, 553.399256},
      {128, 2, -47, 384294, 1777991, 121.766100, 560.607187},
      {128, 2, 0, 413518, 2188046, 117.700916, 630.080840},
      {128, 2, 20, 378182, 2309179, 93.803947, 632.796265},
      {128, 2, 90, 506933, 2734665, 131.411475, 703.324314},
      {128, 2, 133, 572131, 2622811, 143.878047, 686.316997},
      {256, 3, -150, 547379, 3836996, 153.814760, 1088.812407},
      {256, 3, -47, 475672, 3633982, 135.273758, 1037.427709},
      {256, 3, 0, 679872, 4771666, 174.507491, 1231.718681},
      {256, 3, 20, 692837, 5268070, 165.937223, 1297.067047},
      {256, 3, 90, 809509, 5732537, 190.961586, 1347.617445},
      {256, 3, 133, 800524, 5521122, 186.728392, 1326.589501},
  };
  for (const Drawn& expected : cases) {
    SCOPED_TRACE(::testing::Message() << expected.size << " pixels, " << expected.degrees << " degrees");
    GeneratorParameters parameters = default_parameters(expected.size, Difficulty::kHard);
    parameters.render = Rendering::kOriginal;
    const Paddle original = draw_paddle(parameters, expected.margin, radians(expected.degrees));
    EXPECT_EQ(weighted_bits(original.line), expected.line_bits);
    EXPECT_EQ(weighted_bits(original.room), expected.room_bits);
    parameters.render = Rendering::kRelease;
    const Paddle release = draw_paddle(parameters, expected.margin, radians(expected.degrees));
    constexpr double kSinglePrecision = 1e-3;  // Pillow keeps each pass in it; values are rounded to 2^-20 here
    EXPECT_NEAR(weighted_values(release.line), expected.line_values, kSinglePrecision);
    EXPECT_NEAR(weighted_values(release.room), expected.room_values, kSinglePrecision);
  }
}

TEST(DrawPaddleTest, APointIsDrawnWhereTheLineHasNoLength) {
  GeneratorParameters parameters = default_parameters(32, Difficulty::kHard);
  parameters.antialias_scale = 1;
  parameters.paddle_length = 1;
  parameters.paddle_thickness = 2;
  const Paddle paddle = draw_paddle(parameters, 1, radians(-135));  // ceil(-0.7) is 0 both ways
  EXPECT_EQ(paddle.line.at({0, 0}), 1);
  EXPECT_EQ(std::count_if(paddle.line.values.begin(), paddle.line.values.end(), [](float v) { return v != 0; }), 1);
}

TEST(DrawDiscTest, PeaksAreThoseOfThePublishedImages) {
  for (const auto& [size, expected] : {std::pair{64, 1.161F}, std::pair{128, 1.124F}}) {
    const GeneratorParameters parameters = default_parameters(size, Difficulty::kHard);
    const LanczosFilter filter(size * parameters.antialias_scale, size);
    const Disc disc = draw_disc(parameters, filter, {size / 2, size / 2});
    EXPECT_NEAR(*std::max_element(disc.values.begin(), disc.values.end()), expected, 5e-4) << size;
  }
}

TEST(DrawDiscTest, IsTheSameEverywhereButAtTheBorder) {
  const GeneratorParameters parameters = default_parameters(32, Difficulty::kHard);
  const LanczosFilter filter(64, 32);
  const Disc middle = draw_disc(parameters, filter, {16, 16});
  const Disc moved_disc = draw_disc(parameters, filter, {9, 21});
  EXPECT_EQ(middle.values, moved_disc.values);
  EXPECT_EQ(moved_disc.corner, middle.corner + (Point{-7, 5}));
  for (const Point centre : {Point{0, 0}, Point{31, 1}, Point{2, 31}}) {
    const Disc cut = draw_disc(parameters, filter, centre);
    EXPECT_GE(cut.corner.y, 0);
    EXPECT_LE(cut.corner.y + cut.rows, 32);
    EXPECT_LE(cut.corner.x + cut.columns, 32);
    EXPECT_GT(*std::max_element(cut.values.begin(), cut.values.end()), 1);
  }
}

TEST(DrawDiscTest, IsEmptyOutsideTheImage) {
  GeneratorParameters parameters = default_parameters(32, Difficulty::kHard);
  parameters.antialias_scale = 1;
  parameters.marker_radius = 0.5;
  const LanczosFilter filter(32, 32);
  for (const Point centre : {Point{-1, 5}, Point{5, -1}, Point{32, 31}}) {
    const Disc disc = draw_disc(parameters, filter, centre);
    EXPECT_EQ(disc.rows * disc.columns, 0) << centre.y << " " << centre.x;
    EXPECT_TRUE(disc.values.empty());
  }
}

TEST(MovedTest, RoundsTheProductAndTheSum) {
  for (int degree = -180; degree < 180; ++degree) {
    const Heading heading(radians(degree));
    for (int distance = 1; distance <= 16; ++distance) {
      const volatile double dy = distance * heading.sine;  // volatile: no compiler makes it part of the sum
      const volatile double dx = distance * heading.cosine;
      for (int at = 0; at < 256; ++at) {
        const Point expected{static_cast<int>(std::ceil(at + dy)), static_cast<int>(std::ceil(at + dx))};
        ASSERT_EQ(moved({at, at}, heading, distance), expected) << degree << " degrees, " << distance << ", at " << at;
      }
    }
  }
}

TEST(MovedTest, LastBitsOfSinesCountNearTheOrigin) {
  const Heading left(std::numbers::pi);  // its sine is 1.2e-16
  EXPECT_EQ(moved({8, 20}, left, 4), (Point{8, 16}));
  EXPECT_EQ(moved({7, 20}, left, 4), (Point{8, 16}));
  const Heading steep(radians(-120));
  EXPECT_EQ(moved({8, 8}, steep, 4), (Point{5, 7}));  // ceil(6.000000000000001)
}

}  // namespace
}  // namespace lra::tasks::pathfinder
