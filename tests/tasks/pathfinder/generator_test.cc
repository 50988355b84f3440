// The generator: the same pixels as the plain one, and labels that are right.
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
