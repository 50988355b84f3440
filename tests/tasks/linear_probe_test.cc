#include "tasks/linear_probe.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "tasks/majority.h"
#include "tests/tasks/toy_dataset.h"
#include "tests/temporary_directory.h"

namespace lra::tasks {
namespace {

/// Gaussian clouds around `classes` centres at `distance` from the origin, each in its own direction.
ProbeExamples clouds(int classes, int64_t count, double distance, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> noise;
  ProbeExamples examples{.width = classes + 2};  // one feature of noise, one that never changes
  for (int64_t i = 0; i < count; ++i) {
    const int label = static_cast<int>(i) % classes;
    for (int k = 0; k < classes; ++k) {
      examples.features.push_back(noise(random) + (k == label ? static_cast<float>(distance) : 0));
    }
    examples.features.push_back(1000 * noise(random));
    examples.features.push_back(7);
    examples.labels.push_back(label);
  }
  return examples;
}

TEST(LinearProbeTest, ReachesTheBestPossibleAccuracyOfTwoClouds) {
  // Two unit clouds whose centres are sqrt(2) * 2 apart: the best accuracy is Phi(sqrt(2)) = 0.9214.
  const LinearProbe probe(clouds(2, 4000, 2, 1), 2);
  constexpr int64_t kTest = 20'000;
  const double best = 0.5 * std::erfc(-1.0);  // Phi(x) = erfc(-x / sqrt(2)) / 2
  const double standard_error = std::sqrt(best * (1 - best) / kTest);
  EXPECT_NEAR(probe.accuracy(clouds(2, kTest, 2, 2)), best, 4 * standard_error);
  EXPECT_LT(probe.iterations(), 100);
}

TEST(LinearProbeTest, SeparatesManyClasses) {
  const LinearProbe probe(clouds(10, 3000, 8, 3), 10);
  EXPECT_GT(probe.accuracy(clouds(10, 3000, 8, 4)), 0.999);
}

TEST(LinearProbeTest, NoiseStaysAtChance) {
  const LinearProbe probe(clouds(2, 4000, 0, 5), 2);
  EXPECT_NEAR(probe.accuracy(clouds(2, 20'000, 0, 6)), 0.5, 4 * std::sqrt(0.25 / 20'000));
}

TEST(LinearProbeTest, TheSameAccuracyEveryTime) {
  const ProbeExamples train = clouds(3, 500, 1, 7);
  const ProbeExamples test = clouds(3, 500, 1, 8);
  EXPECT_EQ(LinearProbe(train, 3).accuracy(test), LinearProbe(train, 3).accuracy(test));
}

/// A dataset of 40 examples, of which i has i tokens and the label i % 3.
Dataset numbered(const std::filesystem::path& directory) {
  Manifest manifest = toy_manifest();
  manifest.nominal_length = 40;
  DatasetWriter writer(directory, manifest, false);
  for (const SplitName split : {SplitName::kTrain, SplitName::kTest}) {
    for (int i = 0; i < 40; ++i) {
      const std::vector<uint8_t> tokens(static_cast<size_t>(i), 2);
      writer.add_sequence(split, tokens);
      writer.add_label(split, i % 3);
    }
  }
  writer.finish();
  return Dataset::open(directory, "toy");
}

TEST(LinearProbeTest, ASampleIsTakenAtEvenDistances) {
  const testing::TemporaryDirectory directory;
  const Dataset dataset = numbered(directory.path());
  std::vector<int64_t> seen;
  const auto feature = [&](const Split&, int64_t example, std::span<float> out) {
    EXPECT_EQ(out.size(), 1U);
    EXPECT_EQ(out[0], 0);
    seen.push_back(example);
  };
  EXPECT_EQ(probe_examples(dataset.train(), 1, feature, 8).labels, (std::vector<int>{0, 2, 1, 0, 2, 1, 0, 2}));
  EXPECT_EQ(seen, (std::vector<int64_t>{0, 5, 10, 15, 20, 25, 30, 35}));
  EXPECT_EQ(probe_examples(dataset.train(), 1, feature).size(), 40);
}

TEST(MajorityTest, IsFittedOnTrainAndScoredOnTest) {
  const testing::TemporaryDirectory directory;
  const ShortcutBaseline baseline = majority_baseline(numbered(directory.path()));
  EXPECT_EQ(baseline.name, "majority");
  EXPECT_DOUBLE_EQ(baseline.accuracy, 14.0 / 40) << "the label 0 has 14 of 40 in both splits";
}

}  // namespace
}  // namespace lra::tasks
