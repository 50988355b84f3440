// The generator: the same pixels as the plain one, the statistics of the original program, and labels that are right.
#include "tasks/pathfinder/generator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "engine/errors.h"
#include "engine/io/sha256.h"
#include "tests/tasks/pathfinder/plain_generator.h"
#include "tests/temporary_directory.h"

namespace lra::tasks::pathfinder {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

GeneratorParameters original(int size, Difficulty difficulty = Difficulty::kHard) {
  GeneratorParameters parameters = default_parameters(size, difficulty);
  parameters.render = Rendering::kOriginal;
  return parameters;
}

std::vector<uint8_t> canvas(const GeneratorParameters& parameters) {
  return std::vector<uint8_t>(static_cast<size_t>(parameters.size) * static_cast<size_t>(parameters.size));
}

/// Paints `images` images both ways.
void expect_same(const GeneratorParameters& parameters, int images, uint64_t seed = 3) {
  Painter painter(std::make_shared<const Tables>(parameters));
  plain::Generator generator(parameters);
  std::vector<uint8_t> fast = canvas(parameters);
  std::vector<uint8_t> plain;
  for (int i = 0; i < images; ++i) {
    const Description got = painter.paint(seed, static_cast<uint64_t>(i), fast);
    const Description expected = generator.paint(seed, static_cast<uint64_t>(i), plain);
    ASSERT_EQ(fast, plain) << "image " << i << " of seed " << seed;
    EXPECT_EQ(got.label, expected.label);
    EXPECT_EQ(got.margin, expected.margin);
    EXPECT_EQ(got.attempts, expected.attempts);
    EXPECT_EQ(got.attempts_past_seeding, expected.attempts_past_seeding);
    EXPECT_EQ(got.distractors, expected.distractors);
    EXPECT_EQ(got.distractor_tries, expected.distractor_tries);
    EXPECT_EQ(got.first_degree, expected.first_degree);
    EXPECT_EQ(got.first_tail, expected.first_tail);
    EXPECT_EQ(got.origin_marker, expected.origin_marker);
    EXPECT_EQ(got.terminal_marker, expected.terminal_marker);
  }
}

TEST(PainterTest, PaintsWhatThePlainGeneratorPaints) {
  expect_same(default_parameters(32, Difficulty::kEasy), 40);
  expect_same(original(32, Difficulty::kIntermediate), 10);
  expect_same(default_parameters(32, Difficulty::kHard), 3);
  GeneratorParameters large = default_parameters(64, Difficulty::kEasy);
  large.contour_length = 4;
  expect_same(large, 3);
}

TEST(PainterTest, PaintsWhatThePlainGeneratorPaintsForOtherParameters) {
  GeneratorParameters parameters = original(32, Difficulty::kEasy);
  parameters.border = Border::kRelaxed;
  parameters.paddle_margin_list = {1, 2};
  parameters.seed_distance = 5;
  parameters.contour_length = 4;
  parameters.snake_contrast_list = {0.5, 1, 2};
  parameters.paddle_contrast_list = {0.75, 1};
  parameters.padding = 2;
  parameters.max_paddle_retrial = 0;
  expect_same(parameters, 15);
  parameters.use_single_paddles = true;
  parameters.render = Rendering::kRelease;
  parameters.marker_radius = 2.25;
  parameters.antialias_scale = 4;
  parameters.paddle_thickness = 0.75;
  parameters.continuity = 1.3;
  expect_same(parameters, 3);
  parameters.distractor_length = 1;
  parameters.paddle_length = 3;
  expect_same(parameters, 5);
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
  double distance[2] = {0, 0};
  int of_label[2] = {0, 0};
};

Statistics statistics_of(const GeneratorParameters& parameters, int images, uint64_t seed = 5) {
  Painter painter(std::make_shared<const Tables>(parameters));
  std::vector<uint8_t> pixels = canvas(parameters);
  Statistics sum{.images = images};
  for (int i = 0; i < images; ++i) {
    const Description image = painter.paint(seed, static_cast<uint64_t>(i), pixels);
    sum.attempts += static_cast<double>(image.attempts) / images;
    sum.past_seeding += static_cast<double>(image.attempts_past_seeding) / images;
    sum.distractors += static_cast<double>(image.distractors) / images;
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
};

/// Within 4 standard errors, those of the reference's mean and of ours taken together.
void expect_near(double mean, int images, const Mean& reference, double reference_images, const char* what) {
  const double error = reference.deviation * std::sqrt(1.0 / images + 1 / reference_images);
  EXPECT_NEAR(mean, reference.value, 4 * error) << what << ", standard error " << error;
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
}

// Measured by running the original program (drewlinsley/pathfinder at ab9c130) unchanged: its 8-bit rendering, its
// border rule, the numbers of distractors of its docstrings. docs/pathfinder.md has 20,000 images of ours beside the
// same table.
TEST(StatisticsTest, AreThoseOfTheOriginalProgramAt32Pixels) {
  expect_like(original(32, Difficulty::kEasy), 1000,
              {.images = 2000,
               .attempts = {22.1, 22.1},
               .past_seeding = {1.8, 1.3},
               .distractors = {3.249, 1.41},
               .zero_share = {0.7729, 0.0326},
               .mean_pixel = {12.96, 1.72},
               .distance = {{14.88, 4.3}, {14.85, 3.3}}});
  expect_like(original(32, Difficulty::kIntermediate), 1000,
              {.images = 2000,
               .attempts = {64.7, 64.7},
               .past_seeding = {5.3, 5},
               .distractors = {1.832, 1.05},
               .zero_share = {0.7325, 0.0368},
               .mean_pixel = {15.51, 1.96},
               .distance = {{13.92, 5.2}, {14.28, 4.7}}});
  expect_like(original(32), 1000,
              {.images = 2040,
               .attempts = {319, 319},
               .past_seeding = {26.7, 26},
               .distractors = {1.184, 0.937},
               .zero_share = {0.6574, 0.0385},
               .mean_pixel = {20.24, 2.04},
               .distance = {{12.79, 5.2}, {13.0, 5.2}}});
}

TEST(StatisticsTest, AreThoseOfTheOriginalProgramAtOtherSizes) {
  GeneratorParameters parameters = original(64);
  parameters.num_distractor_snakes = 5;
  expect_like(parameters, 20,
              {.images = 73,
               .attempts = {4054, 4054},
               .past_seeding = {1071, 1071},
               .distractors = {2.616, 1.04},
               .zero_share = {0.7395, 0.0291},
               .mean_pixel = {13.40, 1.43},
               .distance = {{31.43, 9}, {30.42, 9}}});
  parameters = original(128);
  parameters.num_distractor_snakes = 8;
  expect_like(parameters, 40,
              {.images = 109,
               .attempts = {437.4, 600},
               .past_seeding = {436.9, 600},
               .distractors = {7.688, 0.52},
               .zero_share = {0.8632, 0.0051},
               .mean_pixel = {7.89, 0.29},
               .distance = {{72.64, 21}, {79.01, 20}}});
  expect_like(original(256), 60,
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
  expect_like(parameters, 600,
              {.images = 186,
               .attempts = {28.0, 28.0},
               .past_seeding = {28.0, 28.0},
               .distractors = {4.618, 0.585},
               .zero_share = {0.5500, 0.0277},
               .mean_pixel = {27.79, 1.82},
               .distance = {{13.37, 5.6}, {13.86, 5.5}}});
}

TEST(StatisticsTest, LonePaddlesFillTheImage) {
  GeneratorParameters parameters = original(32);
  parameters.use_single_paddles = true;
  const Statistics ours = statistics_of(parameters, 60);
  expect_near(ours.zero_share, 60, {0.132, 0.03}, 24, "share of zeros");
  expect_near(ours.mean_pixel, 60, {70.88, 4.3}, 24, "mean pixel");
}

TEST(StatisticsTest, OfTheReleaseRenderingAreThoseOfItsModel) {
  // 103 images drawn by the original program's geometry and float rendering.
  const Statistics at32 = statistics_of(default_parameters(32, Difficulty::kHard), 500);
  expect_near(at32.attempts, 500, {258.9, 258.9}, 103, "attempts");
  expect_near(at32.distractors, 500, {1.4, 0.95}, 103, "distractors");
  expect_near(at32.zero_share, 500, {0.636, 0.04}, 103, "share of zeros");
  expect_near(at32.mean_pixel, 500, {18.98, 1.73}, 103, "mean pixel");
  // Eight images each of the published sets.
  const Statistics at64 = statistics_of(default_parameters(64, Difficulty::kHard), 20);
  expect_near(at64.zero_share, 20, {0.7336, 0.032}, 8, "share of zeros");
  expect_near(at64.mean_pixel, 20, {16.15, 1.8}, 8, "mean pixel");
  const Statistics at128 = statistics_of(default_parameters(128, Difficulty::kHard), 40);
  expect_near(at128.zero_share, 40, {0.8389, 0.0125}, 8, "share of zeros");
  expect_near(at128.mean_pixel, 40, {9.43, 0.87}, 8, "mean pixel");
}

TEST(PainterTest, OnlyTheMarkersAreWhite) {
  for (const int size : {32, 64, 128, 256}) {
    const GeneratorParameters parameters = default_parameters(size, Difficulty::kEasy);
    Painter painter(std::make_shared<const Tables>(parameters));
    std::vector<uint8_t> pixels = canvas(parameters);
    for (uint64_t i = 0; i < 5; ++i) {
      const Description image = painter.paint(1, i, pixels);
      EXPECT_THAT(pixels, Contains(255));
      EXPECT_THAT(pixels, Contains(0));
      for (const Point marker : {image.origin_marker, image.terminal_marker}) {
        EXPECT_GE(pixels[static_cast<size_t>(marker.y * size + marker.x)], 200) << size;
      }
      for (int at = 0; at < size * size; ++at) {
        if (pixels[static_cast<size_t>(at)] < 255) continue;
        const auto is_near = [&](Point marker) {
          return std::hypot(at / size - marker.y, at % size - marker.x) <= parameters.marker_radius + 1;
        };
        EXPECT_TRUE(is_near(image.origin_marker) || is_near(image.terminal_marker)) << size << " " << at;
      }
    }
  }
}

TEST(PainterTest, AnImageDependsOnSeedAndNumberOnly) {
  const auto tables = std::make_shared<const Tables>(default_parameters(32, Difficulty::kEasy));
  std::vector<uint8_t> first(1024);
  std::vector<uint8_t> again(1024);
  Painter painter(tables);
  painter.paint(5, 7, first);
  painter.paint(5, 8, again);
  EXPECT_NE(first, again);
  painter.paint(6, 7, again);
  EXPECT_NE(first, again);
  painter.paint(5, 7, again);
  EXPECT_EQ(first, again);
  Painter(tables).paint(5, 7, again);
  EXPECT_EQ(first, again);
}

TEST(PainterTest, EveryBuildPaintsTheseBytes) {
  std::string bytes;
  for (const int size : {32, 64, 128, 256}) {
    const GeneratorParameters parameters = default_parameters(size, Difficulty::kIntermediate);
    Painter painter(std::make_shared<const Tables>(parameters));
    std::vector<uint8_t> pixels = canvas(parameters);
    for (uint64_t i = 0; i < 4; ++i) {
      painter.paint(0, i, pixels);
      bytes.append(pixels.begin(), pixels.end());
    }
  }
  EXPECT_EQ(io::sha256_hex(std::as_bytes(std::span(bytes))),
            "2597d8bbf728f1e117842d138948a9838dc67a130c7d72f484e1bb79947093f1");
}

TEST(PainterTest, GivesUpWhereContoursCannotFit) {
  GeneratorParameters parameters = default_parameters(32, Difficulty::kHard);
  parameters.padding = 13;  // six pixels are left
  Painter painter(std::make_shared<const Tables>(parameters));
  std::vector<uint8_t> pixels = canvas(parameters);
  const auto error = testing::thrown_by<UsageError>([&] { painter.paint(0, 0, pixels); });
  EXPECT_THAT(error.what(), HasSubstr("no two contours of 14 paddles found room"));
  EXPECT_THAT(error.hint(), HasSubstr("task.contour_length"));
}

}  // namespace
}  // namespace lra::tasks::pathfinder
