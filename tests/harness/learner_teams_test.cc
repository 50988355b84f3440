// Several threads on one sequence, and how many sequences run at once: the numbers stay, the memory fits.
#include <gtest/gtest.h>

#include <cmath>
#include <tuple>
#include <vector>

#include "attention/registry.h"
#include "engine/errors.h"
#include "harness/learner.h"
#include "tests/harness/tiny_model.h"

namespace lra::harness {
namespace {

using engine::Dtype;
using testing::copy;
using testing::FailingExamples;
using testing::kLongest;
using testing::kTask;
using testing::VariedExamples;

/// Sequences that several threads can share: more than two groups of blocks of rows.
constexpr int64_t kDivisible = 2 * engine::PipelineGroups::kFewestRows + 200;

class TeamsTest : public ::testing::TestWithParam<std::string> {};

TEST_P(TeamsTest, FewLongSequencesOnManyThreadsGiveTheBitsOfOneThread) {
  for (const bool causal : {false, true}) {
    TrainConfig config = testing::tiny_config(GetParam(), kDivisible);
    config.model.dropout = config.model.attention_dropout = 0.1;
    config.attention.causal = causal && attention::find(GetParam()).facts().causal;
    const VariedExamples examples(4, kDivisible, 4);
    const auto train = [&](int threads) {
      Model model(config, kTask, Dtype::f32, engine::Kernels::fused);
      Learner learner(model, {.threads = threads}, examples.lengths(), {});
      std::vector<double> losses;
      const std::vector<std::vector<int64_t>> batches = {{0}, {0, 1, 2, 3}, {2, 1, 3}};
      for (size_t step = 0; step < batches.size(); ++step)
        losses.push_back(learner.train_step(examples, batches[step], static_cast<int64_t>(step)).loss());
      return std::tuple(losses, copy(learner.weights()), copy(learner.first_moments()));
    };
    const auto one = train(1);
    for (const float weight : std::get<1>(one)) ASSERT_TRUE(std::isfinite(weight));
    for (const int threads : {2, 3, 5}) EXPECT_EQ(train(threads), one) << threads << " threads";
  }
}

TEST_P(TeamsTest, EvaluationOfFewLongSequencesDoesNotDependOnThreads) {
  TrainConfig config = testing::tiny_config(GetParam(), kDivisible);
  const VariedExamples examples(3, kDivisible, 4);
  const auto loss = [&](int threads) {
    Model model(config, kTask, Dtype::f32, engine::Kernels::fused);
    return Learner(model, {.threads = threads}, {}, examples.lengths()).evaluate(examples).loss();
  };
  const double one = loss(1);
  EXPECT_TRUE(std::isfinite(one));
  for (const int threads : {2, 4}) EXPECT_EQ(loss(threads), one) << threads << " threads";
}

INSTANTIATE_TEST_SUITE_P(Mechanisms, TeamsTest, ::testing::ValuesIn(attention::names()),
                         [](const auto& test) { return test.param; });

TEST(LearnerTeamsTest, WhereMemoryIsShortThreadsShareSequencesBeforeLayersAreRecomputed) {
  const TrainConfig config = testing::tiny_config("cosformer", kDivisible);
  const VariedExamples examples(6, kDivisible, 4);
  const std::vector<int64_t> batch = {0, 1, 2, 3, 4, 5};
  struct Trained {
    MemoryForecast memory;
    engine::Activations activations;
    std::vector<float> weights;
  };
  const auto train = [&](int64_t memory_limit_bytes) -> Trained {
    Model model(config, kTask, Dtype::f32, engine::Kernels::fused);
    Learner learner(model, {.threads = 3, .memory_limit_bytes = memory_limit_bytes}, examples.lengths(), {});
    EXPECT_EQ(learner.arena_bytes(), learner.memory().arena_bytes);
    for (int64_t step = 0; step < 2; ++step) learner.train_step(examples, batch, step);
    return {learner.memory(), model.activations(), copy(learner.weights())};
  };
  const Trained free = train(0);
  EXPECT_EQ(free.memory.examples_at_once, 3);
  EXPECT_FALSE(free.memory.is_short);
  const Trained two = train(free.memory.total() - 1);
  EXPECT_EQ(two.memory.examples_at_once, 2);
  EXPECT_TRUE(two.memory.is_short);
  EXPECT_EQ(two.activations, engine::Activations::kept);
  const Trained one = train(two.memory.total() - 1);
  EXPECT_EQ(one.memory.examples_at_once, 1);
  EXPECT_EQ(one.activations, engine::Activations::kept);
  const Trained recomputed = train(one.memory.total() - 1);
  EXPECT_EQ(recomputed.activations, engine::Activations::recomputed);
  EXPECT_LT(recomputed.memory.total(), one.memory.total());
  for (const Trained* other : {&two, &one, &recomputed}) EXPECT_EQ(other->weights, free.weights);
}

TEST(LearnerTeamsTest, WhatIsLeftForTheLastRoundIsSharedWhereMemoryIsShort) {
  TrainConfig config = testing::tiny_config("softmax", 100);
  config.train.lanes = 5;
  const VariedExamples examples(5, 100, 4);
  const std::vector<int64_t> batch = {0, 1, 2, 3, 4};  // two at once: two rounds and one left
  const auto train = [&](int threads, int64_t memory_limit_bytes) {
    Model model(config, kTask, Dtype::f32, engine::Kernels::fused);
    Learner learner(model, {.threads = threads, .memory_limit_bytes = memory_limit_bytes}, examples.lengths(), {});
    learner.train_step(examples, batch, 0);
    return std::tuple(learner.memory(), copy(learner.weights()));
  };
  const auto [free, weights] = train(3, 0);
  const auto [tight, tight_weights] = train(3, free.total() - 1);
  EXPECT_EQ(tight.examples_at_once, 2);
  EXPECT_EQ(tight_weights, weights);
}

TEST(LearnerTeamsTest, EvaluatingNothingIsNoError) {
  Model model(testing::tiny_config("linear", kLongest), kTask, Dtype::f32, engine::Kernels::fused);
  const std::vector<int64_t> lengths = {kLongest};
  Learner learner(model, {.threads = 3, .most_at_once = 2}, {}, lengths);
  EXPECT_EQ(learner.evaluate(VariedExamples(0, kLongest, 1)).examples, 0);
}

TEST(LearnerTeamsTest, NoMoreArenasThanSequencesAtOnce) {
  TrainConfig config = testing::tiny_config("linear", kLongest);
  const std::vector<int64_t> lengths = {kLongest};
  const auto at_once = [&](int64_t lanes, int64_t batch_size, int64_t most, std::span<const int64_t> infer) {
    config.train.lanes = lanes;
    config.train.batch_size = batch_size;
    Model model(config, kTask, Dtype::f32, engine::Kernels::fused);
    const Learner learner(model, {.threads = 3, .most_at_once = most}, lengths, infer);
    EXPECT_FALSE(learner.memory().is_short);
    return learner.memory().examples_at_once;
  };
  EXPECT_EQ(at_once(8, 8, 0, {}), 3);
  EXPECT_EQ(at_once(2, 8, 0, {}), 2);
  EXPECT_EQ(at_once(8, 1, 0, {}), 1);
  EXPECT_EQ(at_once(8, 8, 2, {}), 2);
  EXPECT_EQ(at_once(1, 1, 0, lengths), 3);  // evaluations take as many as there are threads
}

TEST(LearnerTeamsTest, AnErrorInTheDataEndsATeamToo) {
  Model model(testing::tiny_config("linear", kDivisible), kTask, Dtype::f32, engine::Kernels::fused);
  const VariedExamples examples(4, kDivisible, 2);
  const FailingExamples failing(examples);
  Learner learner(model, {.threads = 3}, examples.lengths(), examples.lengths());
  const std::vector<int64_t> batch = {3};
  EXPECT_THROW(learner.train_step(failing, batch, 0), DataError);
  EXPECT_TRUE(std::isfinite(learner.train_step(examples, batch, 0).loss()));
}

}  // namespace
}  // namespace lra::harness
