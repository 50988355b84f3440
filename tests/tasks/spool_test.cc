#include "tasks/spool.h"

#include <gtest/gtest.h>

#include <random>

#include "tasks/dataset.h"
#include "tests/tasks/toy_dataset.h"
#include "tests/temporary_directory.h"

namespace lra::tasks {
namespace {

using testing::TemporaryDirectory;

struct Example {
  SplitName split = SplitName::kTrain;
  uint64_t key = 0;
  std::vector<uint8_t> tokens;
  int label = 0;
};

std::string hash_of(const std::vector<Example>& examples) {
  const TemporaryDirectory directory;
  {
    DatasetWriter writer(directory.path(), toy_manifest(), false);
    Spool spool(directory.path());
    for (const Example& example : examples) spool.add(example.split, example.key, example.tokens, example.label);
    spool.write_to(writer);
    writer.finish();
  }
  return Dataset::open(directory.path(), "toy").manifest().dataset_sha256;
}

/// Some megabytes, so that the file is used.
std::vector<Example> sorted_examples() {
  std::mt19937 random(5);
  std::vector<Example> examples;
  for (uint64_t i = 0; i < 3000; ++i) {
    Example example{kSplitNames[i % 3], i * i, std::vector<uint8_t>(random() % 6000), static_cast<int>(i % 3)};
    for (uint8_t& token : example.tokens) token = random() % 4;
    examples.push_back(std::move(example));
  }
  return examples;
}

TEST(SpoolTest, TheDatasetDoesNotDependOnTheOrderOfArrival) {
  std::vector<Example> examples = sorted_examples();
  const TemporaryDirectory directory;
  std::string direct;
  {
    DatasetWriter writer(directory.path(), toy_manifest(), false);
    for (const Example& example : examples) {
      writer.add_sequence(example.split, std::span<const uint8_t>(example.tokens));
      writer.add_label(example.split, example.label);
    }
    writer.finish();
    direct = Dataset::open(directory.path(), "toy").manifest().dataset_sha256;
  }
  EXPECT_EQ(hash_of(examples), direct);
  std::mt19937 random(6);
  for (int round = 0; round < 3; ++round) {
    std::shuffle(examples.begin(), examples.end(), random);
    EXPECT_EQ(hash_of(examples), direct);
  }
}

TEST(SpoolTest, NothingHasANameInTheDirectory) {
  const TemporaryDirectory directory;
  Spool spool(directory.path());
  const std::vector<uint8_t> tokens(5 << 20, 1);
  spool.add(SplitName::kTrain, 0, tokens, 0);
  EXPECT_TRUE(std::filesystem::is_empty(directory.path()));
}

TEST(SpoolTest, KeysAndLabelsMayComeLast) {
  const TemporaryDirectory directory;
  Spool spool(directory.path());
  for (uint8_t i = 0; i < 4; ++i) spool.add(SplitName::kTrain, i, std::span(&i, 1), 0);
  spool.renumber([](uint64_t key) -> std::optional<Spool::Place> {
    if (key == 2) return std::nullopt;
    return Spool::Place{10 - key, static_cast<int>(key) + 5};
  });
  std::vector<std::pair<uint8_t, int>> seen;
  spool.for_each([&](SplitName, std::span<const uint8_t> bytes, int label) { seen.emplace_back(bytes[0], label); });
  EXPECT_EQ(seen, (std::vector<std::pair<uint8_t, int>>{{3, 8}, {1, 6}, {0, 5}}));
}

}  // namespace
}  // namespace lra::tasks
