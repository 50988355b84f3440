// GeneratorParameters: defaults of each size, texts, and what is refused.
#include "tasks/pathfinder/parameters.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/errors.h"
#include "tests/temporary_directory.h"

namespace lra::tasks::pathfinder {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

GeneratorParameters hard(int size) { return default_parameters(size, Difficulty::kHard); }

TEST(PathfinderParametersTest, DefaultsAreThoseOfTheBenchmark) {
  EXPECT_EQ(hard(32).num_distractor_snakes, 5);
  EXPECT_EQ(hard(64).num_distractor_snakes, 11);
  EXPECT_EQ(hard(128).num_distractor_snakes, 17);
  EXPECT_EQ(hard(256).num_distractor_snakes, 7);
  EXPECT_EQ(default_parameters(32, Difficulty::kEasy).num_distractor_snakes, 10);
  EXPECT_EQ(default_parameters(32, Difficulty::kIntermediate).num_distractor_snakes, 6);
  EXPECT_EQ(default_parameters(128, Difficulty::kEasy).contour_length, 6);
  EXPECT_EQ(default_parameters(128, Difficulty::kIntermediate).contour_length, 9);
  EXPECT_THAT(hard(128).paddle_margin_list, ElementsAre(2, 3));
  EXPECT_EQ(hard(256).padding, 22);
}

TEST(PathfinderParametersTest, WhatIsRecordedIsReadBack) {
  for (const int size : {32, 64, 128, 256}) {
    GeneratorParameters changed = hard(size);
    changed.paddle_margin_list = {1, 3};
    changed.snake_contrast_list = {0.5, 1.25};
    changed.border = Border::kRelaxed;
    changed.render = Rendering::kOriginal;
    changed.use_single_paddles = true;
    changed.marker_radius = 2.25;
    changed.continuity = 1.0 / 3;
    Manifest manifest;
    manifest.source.kind = "generate";
    manifest.parameters = recorded(changed);
    EXPECT_EQ(recorded(parameters_of(manifest, hard(32))), recorded(changed));
    manifest.source.kind = "import";
    EXPECT_EQ(recorded(parameters_of(manifest, hard(32))), recorded(hard(32)));
  }
}

TEST(PathfinderParametersTest, AManifestOfAnotherVersionStopsAnExportButNoTraining) {
  Manifest manifest;
  manifest.task = "pathfinder32_hard";
  manifest.source.kind = "generate";
  manifest.parameters = recorded(hard(32));
  manifest.parameters["marker_radius"] = 2.5;
  manifest.parameters["colour"] = std::string("red");
  const auto error = testing::thrown_by<DataError>([&] { parameters_of(manifest, hard(32)); });
  EXPECT_THAT(error.what(), HasSubstr("task.colour"));
  EXPECT_EQ(marker_radius_of(manifest, 1.5), 2.5);
  manifest.parameters["marker_radius"] = std::string("wide");
  EXPECT_EQ(marker_radius_of(manifest, 1.5), 1.5);
}

TEST(PathfinderParametersTest, RefusesWhatIsNoValue) {
  const auto refusal = [](const std::string& key, const std::string& text) {
    return testing::thrown_by<UsageError>([&] { parse_parameters("pathfinder32_hard", hard(32), {{key, text}}); });
  };
  EXPECT_THAT(refusal("task.contour_lenght", "6").what(), HasSubstr("has no parameter `task.contour_lenght`"));
  EXPECT_THAT(refusal("task.contour_lenght", "6").hint(), HasSubstr("task.contour_length"));
  for (const char* text : {"", "6.5", "1", "65", "six", "6 ", "nan", "1e9"}) {
    EXPECT_THAT(refusal("task.contour_length", text).what(), HasSubstr("is not a whole number between 2 and 64"));
  }
  for (const char* text : {"", "1,", "9", "1,,2", "0.5", "1;2", "1,2,3,4,5,6,7,8,1,2,3,4,5,6,7,8,1"}) {
    EXPECT_THAT(refusal("task.paddle_margin_list", text).what(), HasSubstr("separated by commas"));
  }
  EXPECT_THAT(refusal("task.snake_contrast_list", "0").what(), HasSubstr("between 0.01 and 100"));
  EXPECT_THAT(refusal("task.marker_radius", "0").what(), HasSubstr("between 0.5 and 32"));
  EXPECT_THAT(refusal("task.border", "strict").hint(), HasSubstr("known: literal, relaxed"));
  EXPECT_THAT(refusal("task.use_single_paddles", "yes").what(), HasSubstr("is not true or false"));
  EXPECT_THAT(refusal("task.paddle_thickness", "0.75").what(), HasSubstr("is not a whole number from 1"));
  EXPECT_THAT(refusal("task.antialias_scale", "1").what(), HasSubstr("is not a whole number from 1"));
}

}  // namespace
}  // namespace lra::tasks::pathfinder
