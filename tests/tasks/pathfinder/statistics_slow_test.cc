// Images have the statistics of those that the original program painted.
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <numeric>

#include "tasks/pathfinder/generator.h"

namespace lra::tasks::pathfinder {
namespace {

GeneratorParameters original(int size, Difficulty difficulty = Difficulty::kHard) {
  GeneratorParameters parameters = default_parameters(size, difficulty);
  parameters.render = Rendering::kOriginal;
  return parameters;
}

/// Sums over the images of one setting.
struct Statistics {
  int images = 0;
  double attempts = 0;
  double past_seeding = 0;
  double distractors = 0;
  double zero_share = 0;
  double mean_pixel = 0;
  double ones = 0;
  std::map<int, int> images_of_distractors;
  double distance[2] = {0, 0};
  int of_label[2] = {0, 0};
};

Statistics statistics_of(const GeneratorParameters& parameters, int images, uint64_t seed = 5) {
  Painter painter(std::make_shared<const Tables>(parameters));
  std::vector<uint8_t> pixels(static_cast<size_t>(parameters.size) * static_cast<size_t>(parameters.size));
  Statistics sum{.images = images};
  for (int i = 0; i < images; ++i) {
    const Description image = painter.paint(seed, static_cast<uint64_t>(i), pixels);
    sum.attempts += static_cast<double>(image.attempts) / images;
    sum.past_seeding += static_cast<double>(image.attempts_past_seeding) / images;
    sum.distractors += static_cast<double>(image.distractors) / images;
    ++sum.images_of_distractors[image.distractors];
    sum.ones += static_cast<double>(image.label) / images;
    double zeros = 0;
    double total = 0;
    for (const uint8_t pixel : pixels) {
      zeros += pixel == 0 ? 1 : 0;
      total += pixel;
    }
    sum.zero_share += zeros / static_cast<double>(pixels.size()) / images;
    sum.mean_pixel += total / static_cast<double>(pixels.size()) / images;
    const Point between{image.origin_marker.y - image.terminal_marker.y,
                        image.origin_marker.x - image.terminal_marker.x};
    sum.distance[image.label] += std::hypot(between.y, between.x);
    ++sum.of_label[image.label];
  }
  for (const int label : {0, 1}) sum.distance[label] /= sum.of_label[label];
  return sum;
}

/// A mean over the images of the original program, and how it varies from image to image.
struct Mean {
  double value = 0;
  double deviation = 0;
};

struct Reference {
  int images = 0;
  Mean attempts;  // geometric: the deviation is the mean
  Mean past_seeding;
  Mean distractors;
  Mean zero_share;
  Mean mean_pixel;
  Mean distance[2];
  std::vector<int> images_of_distractors = {};  // none where too few images were painted to compare with
};

/// Within 3 standard errors, those of the reference's mean and of ours taken together.
void expect_near(double mean, int images, const Mean& reference, double reference_images, const char* what) {
  const double error = reference.deviation * std::sqrt(1.0 / images + 1 / reference_images);
  EXPECT_NEAR(mean, reference.value, 3 * error) << what << ", standard error " << error;
}

/// How many images have how many distractors: a chi-square test of two samples at the level of 1 in 1,000.
void expect_same_distribution(const std::vector<int>& reference, const Statistics& ours) {
  constexpr double kLeastExpected = 5;  // fewer images are put together with those of the next number
  const double total = std::accumulate(reference.begin(), reference.end(), 0.0);
  const double all = total + ours.images;
  double chi_square = 0;
  int degrees_of_freedom = -1;
  double theirs = 0;
  double own = 0;
  for (size_t distractors = 0; distractors < reference.size(); ++distractors) {
    theirs += reference[distractors];
    const auto found = ours.images_of_distractors.find(static_cast<int>(distractors));
    own += found == ours.images_of_distractors.end() ? 0 : found->second;
    const double expected = (theirs + own) * total / all;
    if (expected < kLeastExpected && distractors + 1 < reference.size()) continue;
    const double expected_own = theirs + own - expected;
    chi_square += (theirs - expected) * (theirs - expected) * (1 / expected + 1 / expected_own);
    ++degrees_of_freedom;
    theirs = own = 0;
  }
  // Wilson and Hilferty's approximation of the quantile.
  constexpr double kNormalQuantile = 3.09;
  const double spread = 2.0 / (9 * degrees_of_freedom);
  const double limit = degrees_of_freedom * std::pow(1 - spread + kNormalQuantile * std::sqrt(spread), 3);
  EXPECT_LT(chi_square, limit) << "numbers of distractors, " << degrees_of_freedom << " degrees of freedom";
}

void expect_like(const GeneratorParameters& parameters, int images, const Reference& reference) {
  SCOPED_TRACE(::testing::Message() << parameters.size << " pixels, contours of " << parameters.contour_length);
  const Statistics ours = statistics_of(parameters, images);
  expect_near(ours.attempts, images, reference.attempts, reference.images, "attempts");
  expect_near(ours.past_seeding, images, reference.past_seeding, reference.images, "attempts past seeding");
  expect_near(ours.distractors, images, reference.distractors, reference.images, "distractors");
  expect_near(ours.zero_share, images, reference.zero_share, reference.images, "share of zeros");
  expect_near(ours.mean_pixel, images, reference.mean_pixel, reference.images, "mean pixel");
  expect_near(ours.ones, images, {0.5, 0.5}, 1e9, "share of label 1");
  for (const int label : {0, 1}) {
    expect_near(ours.distance[label], ours.of_label[label], reference.distance[label], reference.images / 2.0,
                "marker distance");
  }
  if (!reference.images_of_distractors.empty()) expect_same_distribution(reference.images_of_distractors, ours);
}

// Measured by running the original program (drewlinsley/pathfinder at ab9c130) unchanged: its 8-bit rendering, its
// border rule, the numbers of distractors of its docstrings. docs/pathfinder.md has 20,000 images of each
// setting beside the same table.
TEST(StatisticsTest, AreThoseOfTheOriginalProgramAt32Pixels) {
  constexpr int kImages = 20'000;
  expect_like(original(32, Difficulty::kEasy), kImages,
              {.images = 2000,
               .attempts = {22.1, 22.1},
               .past_seeding = {1.8, 1.3},
               .distractors = {3.249, 1.41},
               .zero_share = {0.7729, 0.0326},
               .mean_pixel = {12.96, 1.72},
               .distance = {{14.88, 4.3}, {14.85, 3.3}},
               .images_of_distractors = {34, 184, 427, 511, 460, 246, 113, 22, 2, 1, 0}});
  expect_like(original(32, Difficulty::kIntermediate), kImages,
              {.images = 2000,
               .attempts = {64.7, 64.7},
               .past_seeding = {5.3, 5},
               .distractors = {1.832, 1.05},
               .zero_share = {0.7325, 0.0368},
               .mean_pixel = {15.51, 1.96},
               .distance = {{13.92, 5.2}, {14.28, 4.7}},
               .images_of_distractors = {217, 619, 617, 400, 124, 23, 0}});
  expect_like(original(32), kImages,
              {.images = 2040,
               .attempts = {319, 319},
               .past_seeding = {26.7, 26},
               .distractors = {1.184, 0.937},
               .zero_share = {0.6574, 0.0385},
               .mean_pixel = {20.24, 2.04},
               .distance = {{12.79, 5.2}, {13.0, 5.2}},
               .images_of_distractors = {529, 797, 546, 147, 20, 1}});
}

TEST(StatisticsTest, AreThoseOfTheOriginalProgramAtOtherSizes) {
  GeneratorParameters parameters = original(64);
  parameters.num_distractor_snakes = 5;
  expect_like(parameters, 200,
              {.images = 73,
               .attempts = {4054, 4054},
               .past_seeding = {1071, 1071},
               .distractors = {2.616, 1.04},
               .zero_share = {0.7395, 0.0291},
               .mean_pixel = {13.40, 1.43},
               .distance = {{31.43, 9}, {30.42, 9}},
               .images_of_distractors = {1, 12, 17, 28, 14, 1}});
  parameters = original(128);
  parameters.num_distractor_snakes = 8;
  expect_like(parameters, 200,
              {.images = 109,
               .attempts = {437.4, 600},
               .past_seeding = {436.9, 600},
               .distractors = {7.688, 0.52},
               .zero_share = {0.8632, 0.0051},
               .mean_pixel = {7.89, 0.29},
               .distance = {{72.64, 21}, {79.01, 20}},
               .images_of_distractors = {0, 0, 0, 0, 0, 0, 3, 28, 78}});
  expect_like(original(256), 200,
              {.images = 60,
               .attempts = {8.0, 8.0},
               .past_seeding = {8.0, 8.0},
               .distractors = {6.983, 0.13},
               .zero_share = {0.9612, 0.0011},
               .mean_pixel = {2.95, 0.05},
               .distance = {{124.16, 32}, {117.47, 33}}});
}

TEST(StatisticsTest, AreThoseOfTheOriginalProgramWithTheRelaxedBorderRule) {
  GeneratorParameters parameters = original(32);
  parameters.border = Border::kRelaxed;
  expect_like(parameters, 2000,
              {.images = 186,
               .attempts = {28.0, 28.0},
               .past_seeding = {28.0, 28.0},
               .distractors = {4.618, 0.585},
               .zero_share = {0.5500, 0.0277},
               .mean_pixel = {27.79, 1.82},
               .distance = {{13.37, 5.6}, {13.86, 5.5}},
               .images_of_distractors = {0, 0, 0, 10, 51, 125}});
}

TEST(StatisticsTest, LonePaddlesFillTheImage) {
  GeneratorParameters parameters = original(32);
  parameters.use_single_paddles = true;
  const Statistics ours = statistics_of(parameters, 200);
  expect_near(ours.zero_share, 200, {0.132, 0.03}, 24, "share of zeros");
  expect_near(ours.mean_pixel, 200, {70.88, 4.3}, 24, "mean pixel");
}

TEST(StatisticsTest, OfTheReleaseRenderingAreThoseOfItsModel) {
  // 103 images drawn by the original program's geometry and float rendering.
  const Statistics at32 = statistics_of(default_parameters(32, Difficulty::kHard), 2000);
  expect_near(at32.attempts, 2000, {258.9, 258.9}, 103, "attempts");
  expect_near(at32.distractors, 2000, {1.4, 0.95}, 103, "distractors");
  expect_near(at32.zero_share, 2000, {0.636, 0.04}, 103, "share of zeros");
  expect_near(at32.mean_pixel, 2000, {18.98, 1.73}, 103, "mean pixel");
  // Eight images each of the published sets.
  const Statistics at64 = statistics_of(default_parameters(64, Difficulty::kHard), 100);
  expect_near(at64.zero_share, 100, {0.7336, 0.032}, 8, "share of zeros");
  expect_near(at64.mean_pixel, 100, {16.15, 1.8}, 8, "mean pixel");
  const Statistics at128 = statistics_of(default_parameters(128, Difficulty::kHard), 100);
  expect_near(at128.zero_share, 100, {0.8389, 0.0125}, 8, "share of zeros");
  expect_near(at128.mean_pixel, 100, {9.43, 0.87}, 8, "mean pixel");
}

}  // namespace
}  // namespace lra::tasks::pathfinder
