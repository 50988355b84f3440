// The learner: threads do not show in the numbers, every example counts once, gradients are the batch's mean.
#include "harness/learner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <mutex>
#include <numeric>
#include <set>
#include <stdexcept>

#include "attention/registry.h"
#include "engine/errors.h"
#include "tests/harness/tiny_model.h"

namespace lra::harness {
namespace {

using engine::Dtype;
using testing::copy;
using testing::FailingExamples;
using ::testing::HasSubstr;
using testing::kLongest;
using testing::kTask;
using testing::VariedExamples;

/// Everything that training leaves behind.
struct Trace {
  std::vector<double> losses;
  std::vector<int64_t> correct;
  std::vector<float> weights, first_moments, second_moments;
  double evaluated_loss = 0;
  int64_t evaluated_correct = 0;
  bool operator==(const Trace&) const = default;
};

Trace train(const TrainConfig& config, int threads, int64_t steps = 4) {
  Model model(config, kTask, Dtype::f32, engine::Kernels::fused);
  const VariedExamples examples(40, kLongest, 1);
  const std::vector<int64_t> lengths = examples.lengths();
  Learner learner(model, {.threads = threads}, lengths, lengths);
  BatchOrder order(examples.size(), config.train.batch_size, config.seed);
  std::vector<int64_t> batch(static_cast<size_t>(config.train.batch_size));
  Trace trace;
  for (int64_t step = 0; step < steps; ++step) {
    order.batch(step, batch);
    const Tally tally = learner.train_step(examples, batch, step);
    trace.losses.push_back(tally.loss());
    trace.correct.push_back(tally.correct);
  }
  const Tally evaluated = learner.evaluate(examples);
  trace.evaluated_loss = evaluated.loss_sum;
  trace.evaluated_correct = evaluated.correct;
  trace.weights = copy(learner.weights());
  trace.first_moments = copy(learner.first_moments());
  trace.second_moments = copy(learner.second_moments());
  return trace;
}

TrainConfig config_of(const std::string& attention) {
  TrainConfig config = testing::tiny_config(attention, kLongest);
  config.model.dropout = config.model.attention_dropout = 0.1;
  config.train.batch_size = 13;  // not a multiple of the lanes
  return config;
}

class ThreadsTest : public ::testing::TestWithParam<std::string> {};

TEST_P(ThreadsTest, DoNotShowInLossesWeightsAndMoments) {
  for (const double clip_norm : {0.0, 0.05}) {
    TrainConfig config = config_of(GetParam());
    config.train.clip_norm = clip_norm;
    const Trace one = train(config, 1);
    for (const float weight : one.weights) ASSERT_TRUE(std::isfinite(weight));
    for (const int threads : {2, 3, 7}) EXPECT_EQ(train(config, threads), one) << threads << " threads";
    EXPECT_EQ(train(config, 1), one) << "again";
  }
}

INSTANTIATE_TEST_SUITE_P(Mechanisms, ThreadsTest, ::testing::ValuesIn(attention::names()),
                         [](const auto& test) { return test.param; });

TEST(LearnerTest, AnotherNumberOfLanesIsAnotherRoundingOnly) {
  TrainConfig config = config_of("linear");
  const Trace four = train(config, 1, 2);
  for (const int64_t lanes : {1, 3, 20}) {  // more lanes than examples, too
    config.train.lanes = lanes;
    const Trace other = train(config, 2, 2);
    for (size_t i = 0; i < four.losses.size(); ++i) EXPECT_NEAR(other.losses[i], four.losses[i], 1e-5);
    for (size_t i = 0; i < four.first_moments.size(); ++i)
      EXPECT_NEAR(other.first_moments[i], four.first_moments[i], 1e-5);
  }
}

TEST(LearnerTest, AnotherSeedGivesOtherWeightsAndLosses) {
  TrainConfig config = config_of("linear");
  const Trace first = train(config, 1, 2);
  config.seed = 1;
  EXPECT_NE(train(config, 1, 2).losses, first.losses);
}

/// The gradient that the first step saw: beta1 = 0.9 leaves a tenth of it in the first moments.
std::vector<float> first_gradient(const TrainConfig& config, std::span<const int64_t> batch) {
  Model model(config, kTask, Dtype::f32, engine::Kernels::fused);
  const VariedExamples examples(40, kLongest, 1);
  Learner learner(model, {.threads = 2}, examples.lengths(), {});
  learner.train_step(examples, batch, 0);
  std::vector<float> gradient = copy(learner.first_moments());
  for (float& element : gradient) element *= 10;
  return gradient;
}

TEST(LearnerTest, TheGradientIsTheMeanOverTheBatchOfPlainDoublePrecisionGradients) {
  const TrainConfig config = config_of("cosformer");
  const std::vector<int64_t> batch = {0, 1, 5, 9, 12, 20, 39};
  const std::vector<float> got = first_gradient(config, batch);
  Model plain(config, kTask, Dtype::f64, engine::Kernels::plain);
  const VariedExamples examples(40, kLongest, 1);
  std::vector<float> weights(got.size());
  plain.parameters().initialize<float>(config.seed, weights);
  const std::vector<double> parameters(weights.begin(), weights.end());
  std::vector<double> expected(got.size(), 0.0);
  for (const int64_t example : batch) {
    const testing::Sequence sequence{.tokens = examples.of(example),
                                     .label = examples.label(example),
                                     .keys = {.seed = 0, .step = 0, .example = static_cast<uint32_t>(example)}};
    const testing::Pass pass =
        testing::run_pass<double>(plain, Mode::train, plain.rows_for(examples.length(example, 0)), sequence, parameters,
                                  1.0 / static_cast<double>(batch.size()));
    for (size_t i = 0; i < expected.size(); ++i) expected[i] += pass.gradients[i];
  }
  double scale = 0;
  for (const double element : expected) scale = std::max(scale, std::fabs(element));
  for (size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(got[i], expected[i], 1e-5 * scale) << i;
}

TEST(LearnerTest, ClippingByValueLimitsEveryElement) {
  TrainConfig config = config_of("linear");
  const std::vector<int64_t> batch = {1, 2, 3, 4};
  const std::vector<float> whole = first_gradient(config, batch);
  config.train.clip_value = 0.01;
  const std::vector<float> clipped = first_gradient(config, batch);
  size_t limited = 0;
  for (size_t i = 0; i < whole.size(); ++i) {
    EXPECT_NEAR(clipped[i], std::clamp(whole[i], -0.01F, 0.01F), 1e-6);
    limited += std::fabs(whole[i]) > 0.01F;
  }
  EXPECT_GT(limited, 5U);
}

TEST(LearnerTest, ClippingByNormScalesTheWholeGradientAndLeavesSmallOnesAlone) {
  TrainConfig config = config_of("linear");
  const std::vector<int64_t> batch = {1, 2, 3, 4};
  const std::vector<float> whole = first_gradient(config, batch);
  const double norm = std::sqrt(std::inner_product(whole.begin(), whole.end(), whole.begin(), 0.0));
  config.train.clip_norm = norm / 3;
  const std::vector<float> clipped = first_gradient(config, batch);
  for (size_t i = 0; i < whole.size(); ++i) EXPECT_NEAR(clipped[i], whole[i] / 3, 1e-5 * norm);
  config.train.clip_norm = norm * 1.01;
  EXPECT_EQ(first_gradient(config, batch), whole);
  // Values are clipped before the norm is taken.
  config.train.clip_value = 0.01;
  config.train.clip_norm = 0.02;
  const std::vector<float> both = first_gradient(config, batch);
  EXPECT_NEAR(std::sqrt(std::inner_product(both.begin(), both.end(), both.begin(), 0.0)), 0.02, 1e-6);
}

TEST(LearnerTest, EvaluationCountsEveryExampleOnceWhateverTheThreads) {
  const TrainConfig config = config_of("linear");
  Model model(config, kTask, Dtype::f32, engine::Kernels::fused);
  for (const int threads : {1, 2, 5})
    for (const int64_t count : {3, 33}) {  // fewer examples than workers, too
      const VariedExamples examples(count, kLongest, 2);
      const std::vector<int64_t> lengths = examples.lengths();
      Learner learner(model, {.threads = threads}, {}, lengths);
      std::mutex mutex;
      std::set<int64_t> reported;
      const Tally tally = learner.evaluate(examples, [&](int64_t done_tokens, int64_t total_tokens) {
        const std::lock_guard lock(mutex);
        reported.insert(done_tokens);
        EXPECT_EQ(total_tokens, std::accumulate(lengths.begin(), lengths.end(), int64_t{0}));
      });
      EXPECT_EQ(reported.size(), static_cast<size_t>(count));
      EXPECT_EQ(*reported.rbegin(), tally.tokens);
      for (int64_t i = 0; i < count; ++i) EXPECT_EQ(examples.times_copied(i), 1) << "example " << i;
      EXPECT_EQ(tally.examples, count);
      EXPECT_EQ(tally.tokens, std::accumulate(lengths.begin(), lengths.end(), int64_t{0}));
      int64_t rows = 0;
      Tally single;
      for (int64_t i = 0; i < count; ++i) {
        rows += model.rows_for(examples.length(i, 0));
        single += learner.infer_batch(examples, std::vector<int64_t>{i});
      }
      EXPECT_EQ(tally.executed_tokens, rows);
      EXPECT_EQ(tally.correct, single.correct);
      EXPECT_NEAR(tally.loss_sum, single.loss_sum, 1e-9);
    }
}

TEST(LearnerTest, EvaluationDropsNothing) {
  TrainConfig config = config_of("softmax");
  const VariedExamples examples(20, kLongest, 2);
  const auto loss = [&] {
    Model model(config, kTask, Dtype::f32, engine::Kernels::fused);
    return Learner(model, {.threads = 1}, examples.lengths(), examples.lengths()).evaluate(examples).loss();
  };
  const double with = loss();
  config.model.dropout = config.model.attention_dropout = 0;
  EXPECT_EQ(loss(), with);
}

TEST(LearnerTest, TheForecastIsWhatIsAllocated) {
  const TrainConfig config = config_of("cosformer");
  Model model(config, kTask, Dtype::f32, engine::Kernels::fused);
  const VariedExamples examples(20, kLongest, 2);
  const std::vector<int64_t> lengths = examples.lengths();
  for (const int threads : {1, 3}) {
    Learner learner(model, {.threads = threads}, lengths, lengths);
    const MemoryForecast& memory = learner.memory();
    EXPECT_EQ(memory.arena_bytes, learner.arena_bytes());
    int64_t largest_shared = 0, largest_own = 0;
    for (const int64_t length : lengths)
      for (const Mode mode : {Mode::train, Mode::infer}) {
        const engine::Plan& plan = model.plan(model.rows_for(length), mode);
        largest_shared = std::max(largest_shared, plan.shared_bytes());
        largest_own = std::max(largest_own, plan.own_bytes());
      }
    EXPECT_EQ(memory.arena_bytes, threads * (largest_shared + largest_own));
    const auto flat = static_cast<int64_t>(learner.weights().size() * sizeof(float));
    EXPECT_EQ(memory.lane_gradient_bytes, config.train.lanes * flat);
    EXPECT_EQ(memory.parameter_bytes, 4 * flat);
    EXPECT_EQ(memory.total(),
              memory.arena_bytes + memory.lane_gradient_bytes + memory.parameter_bytes + memory.constant_bytes);
  }
}

TEST(LearnerTest, WhatDoesNotFitIsRefusedWithTheForecastAndWhatToLower) {
  Model model(config_of("linear"), kTask, Dtype::f32, engine::Kernels::fused);
  const std::vector<int64_t> lengths = {kLongest};
  try {
    Learner(model, {.threads = 2, .memory_limit_bytes = 10000}, lengths, lengths);
    FAIL() << "was accepted";
  } catch (const ResourceError& error) {
    EXPECT_THAT(error.what(), HasSubstr("arenas"));
    EXPECT_THAT(error.hint(), HasSubstr("train.lanes"));
    EXPECT_THAT(error.hint(), HasSubstr("--length"));
  }
}

TEST(LearnerTest, RecomputedActivationsTakeLessMemoryAndGiveTheSameBits) {
  for (const char* attention : {"cosformer", "linear", "softmax"}) {
    const TrainConfig config = testing::tiny_config(attention, 700);  // several blocks of a pipeline
    const VariedExamples examples(6, 700, 4);
    const std::vector<int64_t> batch = {0, 1, 2, 3, 4, 5};
    const auto train = [&](int64_t memory_limit_bytes) {
      Model model(config, kTask, Dtype::f32, engine::Kernels::fused);
      Learner learner(model, {.threads = 1, .memory_limit_bytes = memory_limit_bytes}, examples.lengths(), {});
      for (int64_t step = 0; step < 3; ++step) learner.train_step(examples, batch, step);
      return std::tuple(learner.memory().total(), model.activations(), copy(learner.weights()));
    };
    const auto [kept_bytes, kept, kept_weights] = train(0);
    const auto [recomputed_bytes, recomputed, recomputed_weights] = train(kept_bytes - 1);
    EXPECT_EQ(kept, engine::Activations::kept);
    EXPECT_EQ(recomputed, engine::Activations::recomputed);
    EXPECT_LT(recomputed_bytes, kept_bytes) << attention;
    EXPECT_EQ(recomputed_weights, kept_weights) << attention;
  }
}

TEST(LearnerTest, AnErrorInTheDataReachesTheCallerAndTheWeightsStayAsTheyWere) {
  Model model(config_of("linear"), kTask, Dtype::f32, engine::Kernels::fused);
  const VariedExamples examples(20, kLongest, 2);
  const FailingExamples failing(examples);
  Learner learner(model, {.threads = 3}, examples.lengths(), examples.lengths());
  const std::vector<float> before = copy(learner.weights());
  const std::vector<int64_t> batch = {1, 2, 3, 4, 5, 6};
  EXPECT_THROW(learner.train_step(failing, batch, 0), DataError);
  EXPECT_THROW(learner.evaluate(failing), DataError);
  EXPECT_EQ(copy(learner.weights()), before);
  EXPECT_TRUE(std::isfinite(learner.train_step(examples, batch, 0).loss()));
}

TEST(LearnerTest, TrainingLearnsWhatCanBeLearned) {
  TrainConfig config = testing::tiny_config("cosformer", 40);
  config.train.batch_size = 16;
  Model model(config, kTask, Dtype::f32, engine::Kernels::fused);
  VariedExamples examples(32, 40, 3);
  for (int64_t i = 0; i < examples.size(); ++i)  // one token a sequence: the label can be read off any of them
    std::fill(examples.of(i).begin(), examples.of(i).end(), examples.of(i)[0]);
  Learner learner(model, {.threads = 2}, examples.lengths(), examples.lengths());
  const double before = learner.evaluate(examples).loss();
  BatchOrder order(examples.size(), 16, 0);
  std::vector<int64_t> batch(16);
  for (int64_t step = 0; step < 120; ++step) {
    order.batch(step, batch);
    learner.train_step(examples, batch, step);
  }
  const Tally after = learner.evaluate(examples);
  EXPECT_LT(after.loss(), 0.1 * before);
  EXPECT_EQ(after.correct, after.examples);
}

TEST(LearnerTest, ZeroTokensAreMaskedWhereTheTaskSaysSo) {
  TrainConfig config = testing::tiny_config("softmax", 30);
  VariedExamples examples(2, 30, 3);
  examples.of(0) = {3, 0, 5, 0, 0, 2};
  examples.of(1) = {3, 0, 5, 0, 0, 2};
  const auto loss = [&](Pooling pooling) {
    config.model.pooling = pooling;
    Model model(config, kTask, Dtype::f32, engine::Kernels::fused);
    return Learner(model, {.threads = 1}, {}, examples.lengths()).evaluate(examples).loss();
  };
  const double real = loss(Pooling::kMean);
  config.task.mask_zero_tokens = true;
  EXPECT_NE(loss(Pooling::kMean), real);
  EXPECT_TRUE(std::isfinite(loss(Pooling::kCls)));
}

}  // namespace
}  // namespace lra::harness
