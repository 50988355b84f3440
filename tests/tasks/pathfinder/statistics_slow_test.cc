// Images have the statistics of those that the original program painted: reference_statistics.json.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>

#include "engine/io/file.h"
#include "tasks/pathfinder/generator.h"

namespace lra::tasks::pathfinder {
namespace {

/// Mean and deviation of what is added.
class Sample {
 public:
  void add(double value) {
    ++count_;
    const double before = value - mean_;
    mean_ += before / static_cast<double>(count_);
    squares_ += before * (value - mean_);
  }
  double count() const { return static_cast<double>(count_); }
  double mean() const { return mean_; }
  double deviation() const { return std::sqrt(squares_ / static_cast<double>(count_ - 1)); }

 private:
  int64_t count_ = 0;
  double mean_ = 0;
  double squares_ = 0;  // of the distances from the mean
};

/// What is measured of each image, by the names of the reference.
struct Statistics {
  std::map<std::string, Sample> samples;
  std::vector<double> images_of_distractors;
};

Statistics statistics_of(const GeneratorParameters& parameters, int images, uint64_t seed = 5) {
  Painter painter(std::make_shared<const Tables>(parameters));
  std::vector<uint8_t> pixels(static_cast<size_t>(parameters.size) * static_cast<size_t>(parameters.size));
  const auto area = static_cast<double>(pixels.size());
  Statistics statistics;
  statistics.images_of_distractors.resize(static_cast<size_t>(parameters.num_distractor_snakes) + 1);
  for (int i = 0; i < images; ++i) {
    const Description image = painter.paint(seed, static_cast<uint64_t>(i), pixels);
    const Point between{image.origin_marker.y - image.terminal_marker.y,
                        image.origin_marker.x - image.terminal_marker.x};
    auto& samples = statistics.samples;
    samples["attempts"].add(static_cast<double>(image.attempts));
    samples["attempts_past_seeding"].add(static_cast<double>(image.attempts_past_seeding));
    samples["distractors"].add(image.distractors);
    samples["zero_pixel_share"].add(static_cast<double>(std::count(pixels.begin(), pixels.end(), 0)) / area);
    samples["mean_pixel"].add(std::accumulate(pixels.begin(), pixels.end(), 0.0) / area);
    samples["marker_distance_" + std::to_string(image.label)].add(std::hypot(between.y, between.x));
    samples["label"].add(image.label);
    ++statistics.images_of_distractors[static_cast<size_t>(image.distractors)];
  }
  return statistics;
}

/// Means of two samples of one distribution, whose deviation the larger one tells, differ by no more than 3 standard
/// errors. The reference's means are printed to `rounding`.
void expect_like(const Sample& ours, double mean, double images, double rounding, const std::string& name) {
  const double error =
      std::hypot(ours.deviation() * std::sqrt(1 / ours.count() + 1 / images), rounding / std::sqrt(12.0));
  EXPECT_NEAR(ours.mean(), mean, 3 * error) << name << ", standard error " << error;
}

/// How many images have how many distractors: a chi-square test of two samples at the level of 1 in 1,000.
void expect_same_distribution(const std::vector<double>& reference, const std::vector<double>& ours) {
  constexpr double kLeastExpected = 5;  // fewer images are put together with those of the next number
  const double total = std::accumulate(reference.begin(), reference.end(), 0.0);
  const double all = total + std::accumulate(ours.begin(), ours.end(), 0.0);
  double chi_square = 0;
  int degrees_of_freedom = -1;
  double theirs = 0;
  double own = 0;
  for (size_t distractors = 0; distractors < reference.size(); ++distractors) {
    theirs += reference[distractors];
    own += distractors < ours.size() ? ours[distractors] : 0;
    const double expected = (theirs + own) * total / all;
    if (expected < kLeastExpected && distractors + 1 < reference.size()) continue;
    const double expected_own = theirs + own - expected;
    if (expected > 0) chi_square += (theirs - expected) * (theirs - expected) * (1 / expected + 1 / expected_own);
    degrees_of_freedom += expected > 0 ? 1 : 0;
    theirs = own = 0;
  }
  if (degrees_of_freedom < 1) return;
  // Wilson and Hilferty's approximation of the quantile.
  constexpr double kNormalQuantile = 3.09;
  const double spread = 2.0 / (9 * degrees_of_freedom);
  const double limit = degrees_of_freedom * std::pow(1 - spread + kNormalQuantile * std::sqrt(spread), 3);
  EXPECT_LT(chi_square, limit) << "numbers of distractors, " << degrees_of_freedom << " degrees of freedom";
}

nlohmann::json settings() {
  const auto file = std::filesystem::path(LRA_SOURCE_DIR) / "tests/tasks/pathfinder/reference_statistics.json";
  return nlohmann::json::parse(io::read_text_file(file))["settings"];
}

/// "pathfinder32_hard" and what is set.
GeneratorParameters parameters_of(const nlohmann::json& setting) {
  const std::string task = setting["task"];
  const auto difficulty = task.ends_with("easy")   ? Difficulty::kEasy
                          : task.ends_with("hard") ? Difficulty::kHard
                                                   : Difficulty::kIntermediate;
  ParameterTexts texts;
  for (const auto& [name, value] : setting["parameters"].items()) texts["task." + name] = value.get<std::string>();
  return parse_parameters(
      task, default_parameters(std::stoi(task.substr(std::string("pathfinder").size())), difficulty), texts);
}

class StatisticsTest : public ::testing::TestWithParam<nlohmann::json> {};

TEST_P(StatisticsTest, AreThoseOfTheOriginalProgram) {
  const nlohmann::json& setting = GetParam();
  const GeneratorParameters parameters = parameters_of(setting);
  const bool is_fast = parameters.size == 32 && !parameters.use_single_paddles;
  const Statistics ours = statistics_of(parameters, is_fast ? 20'000 : 400);
  const double images = setting["reference_images"];
  for (const auto& [name, mean] : setting["means"].items()) {
    const bool is_count = name.starts_with("attempts");
    const bool is_of_one_label = name.starts_with("marker_distance");
    expect_like(ours.samples.at(name), mean, is_of_one_label ? images / 2 : images, is_count ? 0.1 : 0, name);
  }
  const Sample& label = ours.samples.at("label");
  EXPECT_NEAR(label.mean(), 0.5, 3 * 0.5 / std::sqrt(label.count()));
  if (setting.contains("images_of_distractors"))
    expect_same_distribution(setting["images_of_distractors"], ours.images_of_distractors);
}

std::string name_of(const ::testing::TestParamInfo<nlohmann::json>& info) {
  std::string name = info.param["task"];
  for (const auto& [key, value] : info.param["parameters"].items()) name += "_" + key + "_" + value.get<std::string>();
  return name;
}

INSTANTIATE_TEST_SUITE_P(Settings, StatisticsTest, ::testing::ValuesIn(settings().get<std::vector<nlohmann::json>>()),
                         name_of);

}  // namespace
}  // namespace lra::tasks::pathfinder
