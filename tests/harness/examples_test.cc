// Examples as the learner reads them, and the order in which a run meets them.
#include "harness/examples.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "tasks/dataset.h"
#include "tests/tasks/toy_dataset.h"
#include "tests/temporary_directory.h"

namespace lra::harness {
namespace {

using ::testing::ElementsAre;

TEST(SplitExamplesTest, SequencesAreCutAndPaddedEvenWhereTheModelHasMoreRows) {
  const lra::testing::TemporaryDirectory directory;
  tasks::make_toy(directory.path());
  const tasks::Dataset dataset = tasks::Dataset::open(directory.path(), "toy");
  const SplitExamples examples(dataset.split(tasks::SplitName::kTrain), 2);
  EXPECT_EQ(examples.size(), 2);
  EXPECT_EQ(examples.length(0, 0), 2);
  EXPECT_EQ(examples.length(1, 0), 1);
  std::vector<int32_t> tokens(4, 9);
  examples.copy_tokens(0, 0, tokens);  // 1 2 3 is longer than 2
  EXPECT_THAT(tokens, ElementsAre(1, 2, 0, 0));
  examples.copy_tokens(1, 0, tokens);
  EXPECT_THAT(tokens, ElementsAre(1, 0, 0, 0));
}

TEST(RandomExamplesTest, AreFullLengthReproducibleAndNeverPadding) {
  const TaskShape task{.vocab_size = 5, .num_classes = 3};
  const RandomExamples first(6, 20, task, 1), again(6, 20, task, 1), other(6, 20, task, 2);
  std::vector<int32_t> tokens(25), same(25), different(25);
  bool differs = false;
  for (int64_t i = 0; i < 6; ++i) {
    EXPECT_EQ(first.length(i, 0), 20);
    first.copy_tokens(i, 0, tokens);
    again.copy_tokens(i, 0, same);
    other.copy_tokens(i, 0, different);
    EXPECT_EQ(tokens, same);
    EXPECT_EQ(first.label(i), again.label(i));
    differs = differs || tokens != different;
    for (size_t j = 0; j < 25; ++j) EXPECT_EQ(tokens[j] >= 1 && tokens[j] < 5, j < 20);
  }
  EXPECT_TRUE(differs);
}

TEST(BatchOrderTest, EveryEpochIsAPermutation) {
  constexpr int64_t kExamples = 37, kBatch = 5;
  BatchOrder order(kExamples, kBatch, 3);
  std::vector<int64_t> batch(kBatch), stream;
  for (int64_t step = 0; step < 4 * kExamples; ++step) {
    order.batch(step, batch);
    stream.insert(stream.end(), batch.begin(), batch.end());
    EXPECT_EQ(order.epoch(step), step * kBatch / kExamples);
  }
  std::vector<std::vector<int64_t>> epochs;
  for (size_t begin = 0; begin + kExamples <= stream.size(); begin += kExamples) {
    const auto at = stream.begin() + static_cast<std::ptrdiff_t>(begin);
    epochs.emplace_back(at, at + kExamples);
    std::vector<int64_t> sorted = epochs.back(), expected(kExamples);
    std::sort(sorted.begin(), sorted.end());
    std::iota(expected.begin(), expected.end(), 0);
    EXPECT_EQ(sorted, expected);
  }
  EXPECT_NE(epochs[0], epochs[1]);
}

TEST(BatchOrderTest, IsAFunctionOfTheStepWhateverWasAskedBefore) {
  BatchOrder forward(20, 6, 3), backward(20, 6, 3), other(20, 6, 4);
  std::vector<std::vector<int64_t>> batches(30, std::vector<int64_t>(6));
  for (size_t step = 0; step < 30; ++step) forward.batch(static_cast<int64_t>(step), batches[step]);
  std::vector<int64_t> batch(6);
  bool differs = false;
  for (size_t step = 30; step-- > 0;) {
    backward.batch(static_cast<int64_t>(step), batch);
    EXPECT_EQ(batch, batches[step]);
    other.batch(static_cast<int64_t>(step), batch);
    differs = differs || batch != batches[step];
  }
  EXPECT_TRUE(differs);
}

TEST(BatchOrderTest, BatchesMayBeLargerThanTheSplit) {
  BatchOrder order(3, 8, 0);
  std::vector<int64_t> batch(8);
  order.batch(0, batch);
  for (int64_t example = 0; example < 3; ++example) EXPECT_GE(std::count(batch.begin(), batch.end(), example), 2);
}

}  // namespace
}  // namespace lra::harness
