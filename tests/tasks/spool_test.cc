#include "tasks/spool.h"

#include <gtest/gtest.h>

#include <random>

#include "engine/errors.h"
#include "tasks/dataset.h"
#include "tasks/dataset_writer.h"
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
    Spool spool(directory / "spool");
    for (const Example& example : examples) spool.add(example.split, example.key, example.tokens, example.label);
    spool.for_each([&](const Spool::Example& example) {
      writer.add_sequence(example.split, example.bytes);
      writer.add_label(example.split, example.label);
    });
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

TEST(SpoolTest, KeysAndLabelsMayComeLast) {
  const TemporaryDirectory directory;
  Spool spool(directory.path());
  for (uint8_t i = 0; i < 4; ++i) spool.add(SplitName::kTrain, i, std::span(&i, 1), 0);
  spool.renumber([](const Spool::Example& example) -> std::optional<Spool::Place> {
    if (example.key == 2) return std::nullopt;
    return Spool::Place{10 - example.key, static_cast<int>(example.key) + 5};
  });
  std::vector<std::pair<uint8_t, int>> seen;
  spool.for_each([&](const Spool::Example& example) { seen.emplace_back(example.bytes[0], example.label); });
  EXPECT_EQ(seen, (std::vector<std::pair<uint8_t, int>>{{3, 8}, {1, 6}, {0, 5}}));
}

TEST(SpoolTest, WhatIsNotWantedIsPassedOver) {
  const TemporaryDirectory directory;
  Spool spool(directory.path());
  for (uint8_t i = 0; i < 6; ++i) spool.add(SplitName::kTrain, i, std::vector<uint8_t>(i), i % 2);
  std::vector<uint64_t> seen;
  spool.for_each([&](const Spool::Example& example) { seen.push_back(example.bytes.size()); },
                 [](const Spool::Example& example) { return example.label == 1 && example.size > 1; });
  EXPECT_EQ(seen, (std::vector<uint64_t>{3, 5}));
}

/// Every example as text.
std::vector<std::string> contents_of(Spool& spool) {
  std::vector<std::string> contents;
  spool.for_each([&](const Spool::Example& example) {
    contents.push_back(std::to_string(example.key) + ":" + std::to_string(example.label) + ":" +
                       std::string(example.bytes.begin(), example.bytes.end()));
  });
  return contents;
}

void add_text(Spool& spool, uint64_t key, std::string_view text) {
  spool.add(SplitName::kTest, key, {reinterpret_cast<const uint8_t*>(text.data()), text.size()}, 7);
}

TEST(SpoolTest, AnotherGoesOnFromWhatWasSynced) {
  const TemporaryDirectory directory;
  Spool::Extent extent;
  {
    Spool spool(directory.path());
    add_text(spool, 5, "five");
    spool.sync();
    add_text(spool, 1, std::string(5 << 20, 'x'));
    add_text(spool, 3, "");
    extent = spool.sync();
    add_text(spool, 4, std::string(5 << 20, 'y'));  // is in the file, and was not synced
  }
  Spool spool(directory.path(), extent);
  add_text(spool, 2, "two");
  EXPECT_EQ(contents_of(spool),
            (std::vector<std::string>{"1:7:" + std::string(5 << 20, 'x'), "2:7:two", "3:7:", "5:7:five"}));
  EXPECT_EQ(spool.sync().examples, 4);
  Spool empty(directory.path());
  EXPECT_TRUE(contents_of(empty).empty());
}

TEST(SpoolTest, WhatWasAlteredOrIsMissingIsRefused) {
  const TemporaryDirectory directory;
  Spool::Extent extent;
  {
    Spool spool(directory.path());
    for (uint64_t key = 0; key < 3; ++key) add_text(spool, key, "text");
    extent = spool.sync();
  }
  for (const char* name : {"entries", "examples"}) {
    const std::string whole = testing::read_bytes(directory / name);
    testing::write_bytes(directory / name, whole.substr(0, whole.size() - 1));
    EXPECT_THROW(Spool(directory.path(), extent), DataError) << name;
    testing::write_bytes(directory / name, whole);
  }
  const std::string entries = testing::read_bytes(directory / "entries");
  for (int64_t at = 0; at < static_cast<int64_t>(entries.size()); ++at) {
    testing::flip_byte(directory / "entries", at);
    EXPECT_THROW(Spool(directory.path(), extent), DataError) << at;
    testing::write_bytes(directory / "entries", entries);
  }
  EXPECT_NO_THROW(Spool(directory.path(), extent));
}

}  // namespace
}  // namespace lra::tasks
