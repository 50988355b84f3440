// Which examples a run trains on, chooses by and is tested with.
#include "harness/run_splits.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "engine/errors.h"
#include "tasks/registry.h"
#include "tests/tasks/toy_dataset.h"
#include "tests/temporary_directory.h"

namespace lra::harness {
namespace {

using tasks::SplitName;
using ::testing::ElementsAre;

/// A data set of `task` with so many examples in each split.
tasks::Dataset dataset_of(const std::filesystem::path& directory, const std::string& task, int train, int validation) {
  tasks::Manifest manifest = tasks::toy_manifest();
  manifest.task = task;
  tasks::DatasetWriter writer(directory, std::move(manifest), false);
  const auto add = [&](SplitName split, int count) {
    for (int i = 0; i < count; ++i) {
      const std::vector<uint8_t> tokens{static_cast<uint8_t>(1 + i % 3)};
      writer.add_sequence(split, tokens);
      writer.add_label(split, static_cast<uint8_t>(i % 3));
    }
  };
  add(SplitName::kTrain, train);
  add(SplitName::kValidation, validation);
  add(SplitName::kTest, 5);
  writer.finish();
  return tasks::Dataset::open(directory, task);
}

std::vector<int64_t> examples_of(const Subset& subset) {
  std::vector<int64_t> all;
  for (int64_t i = 0; i < subset.size(); ++i) all.push_back(subset[i]);
  return all;
}

/// A task whose literature validates on the end of train.
class TailTask : public tasks::Task {
 public:
  TailTask() {
    facts_.name = "tail_toy";
    facts_.paper_validation = tasks::ValidationSource::train_tail;
  }
  const tasks::TaskFacts& facts() const override { return facts_; }
  void import(const tasks::ImportOptions&, const std::filesystem::path&, const tasks::ProgressFn&) const override {}
  std::vector<tasks::ShortcutBaseline> shortcut_baselines(const tasks::Dataset&) const override { return {}; }
  std::string tsv_header() const override { return ""; }
  std::string tsv_row(const tasks::Dataset&, const tasks::Split&, int64_t) const override { return ""; }

 private:
  tasks::TaskFacts facts_;
};

TEST(RunSplitsTest, ValidationExamplesOfTheDataAreUsedUnderEitherPolicy) {
  const lra::testing::TemporaryDirectory directory;
  const tasks::Dataset dataset = dataset_of(directory.path(), "toy", 40, 7);
  for (const SplitPolicy policy : {SplitPolicy::kPaper, SplitPolicy::kHoldout}) {
    const RunSplits splits = run_splits(dataset, policy);
    EXPECT_EQ(splits.train.size(), 40);
    EXPECT_EQ(splits.validation.size(), 7);
    EXPECT_EQ(splits.validation.split().name(), SplitName::kValidation);
    EXPECT_EQ(splits.test.size(), 5);
  }
}

TEST(RunSplitsTest, PaperValidatesOnTheTestSplitWhereTheLiteratureDoes) {
  const lra::testing::TemporaryDirectory directory;
  const tasks::Dataset dataset = dataset_of(directory.path(), "toy", 40, 0);
  const RunSplits splits = run_splits(dataset, SplitPolicy::kPaper);
  EXPECT_EQ(splits.train.size(), 40);
  EXPECT_EQ(splits.validation.split().name(), SplitName::kTest);
  EXPECT_EQ(splits.validation.size(), 5);
}

TEST(RunSplitsTest, PaperTakesTheTailOfTrainWhereTheLiteratureDoes) {
  const tasks::TaskRegistration registration(std::make_unique<TailTask>());
  const lra::testing::TemporaryDirectory directory;
  const tasks::Dataset dataset = dataset_of(directory.path(), "tail_toy", 40, 0);
  const RunSplits splits = run_splits(dataset, SplitPolicy::kPaper);
  EXPECT_EQ(splits.train.size(), 36);
  EXPECT_EQ(splits.train[35], 35);
  EXPECT_THAT(examples_of(splits.validation), ElementsAre(36, 37, 38, 39));
}

TEST(RunSplitsTest, HoldoutTakesATenthThatIsTrainedOnByNobody) {
  const lra::testing::TemporaryDirectory directory;
  const tasks::Dataset dataset = dataset_of(directory.path(), "toy", 43, 0);
  const RunSplits splits = run_splits(dataset, SplitPolicy::kHoldout),
                  again = run_splits(dataset, SplitPolicy::kHoldout);
  EXPECT_EQ(splits.validation.size(), 4);
  EXPECT_EQ(splits.validation.split().name(), SplitName::kTrain);
  std::set<int64_t> seen;
  for (const Subset* subset : {&splits.train, &splits.validation})
    for (const int64_t example : examples_of(*subset)) EXPECT_TRUE(seen.insert(example).second) << example;
  EXPECT_EQ(seen.size(), 43);
  EXPECT_EQ(*seen.rbegin(), 42);
  EXPECT_NE(splits.validation[0], 39) << "a sample, not the tail";
  EXPECT_EQ(examples_of(splits.validation), examples_of(again.validation));
  EXPECT_EQ(splits.sha256, again.sha256);
  EXPECT_NE(splits.sha256, run_splits(dataset, SplitPolicy::kPaper).sha256);
}

TEST(RunSplitsTest, TooFewToHoldOutIsSaid) {
  const lra::testing::TemporaryDirectory directory;
  const tasks::Dataset dataset = dataset_of(directory.path(), "toy", 9, 0);
  EXPECT_THROW(run_splits(dataset, SplitPolicy::kHoldout), UsageError);
  EXPECT_EQ(run_splits(dataset, SplitPolicy::kPaper).train.size(), 9);
}

}  // namespace
}  // namespace lra::harness
