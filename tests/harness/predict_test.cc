// Prediction: the numbers of evaluation, gradients against finite differences and training, refusals.
#include "harness/predict.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "attention/registry.h"
#include "engine/errors.h"
#include "harness/learner.h"
#include "tests/harness/tiny_model.h"

namespace lra::harness {
namespace {

using engine::Dtype;
using ::testing::HasSubstr;
using testing::kLongest;
using testing::kTask;
using testing::Sequence;
using testing::VariedExamples;

constexpr int64_t kExamples = 9;

PredictRequest request_of(const VariedExamples& examples, bool gradients) {
  PredictRequest request{.n = kLongest, .tokens = {}, .labels = {}, .gradients = gradients};
  for (int64_t i = 0; i < examples.size(); ++i) {
    std::vector<int64_t> row(examples.of(i).begin(), examples.of(i).end());
    row.resize(static_cast<size_t>(kLongest), 0);
    request.tokens.insert(request.tokens.end(), row.begin(), row.end());
    request.labels.push_back(examples.label(i));
  }
  return request;
}

Sequence sequence_of(const VariedExamples& examples, int64_t example) {
  return {.tokens = examples.of(example), .label = examples.label(example)};
}

std::vector<double> slice(const std::vector<double>& flat, const engine::Parameter& parameter) {
  const auto begin = flat.begin() + parameter.offset;
  return {begin, begin + parameter.shape.elements()};
}

double largest_of(const std::vector<double>& values) {
  double most = 0;
  for (const double value : values) most = std::max(most, std::fabs(value));
  return most;
}

void expect_close(const Prediction& got, const Prediction& expected, double tolerance,
                  const engine::Parameters& parameters) {
  ASSERT_EQ(got.logits.size(), expected.logits.size());
  for (size_t i = 0; i < expected.logits.size(); ++i)
    EXPECT_NEAR(got.logits[i], expected.logits[i], tolerance * largest_of(expected.logits));
  for (const engine::Parameter& parameter : parameters.list()) {
    const std::vector<double> a = slice(got.gradients, parameter), b = slice(expected.gradients, parameter);
    const double scale = std::max(largest_of(b), 1e-3 * largest_of(expected.gradients));
    for (size_t i = 0; i < b.size(); ++i)
      ASSERT_NEAR(a[i], b[i], tolerance * scale) << parameter.name << " element " << i;
  }
}

class PredictTest : public ::testing::TestWithParam<std::string> {
 protected:
  TrainConfig config(Pooling pooling = Pooling::kMean) const {
    TrainConfig config = testing::tiny_config(GetParam(), kLongest, pooling);
    config.model.dropout = config.model.attention_dropout = 0.3;  // has no say here
    return config;
  }
  const VariedExamples examples_{kExamples, kLongest, 1};
};

TEST_P(PredictTest, LogitsAndLossesAreThoseOfTheModelAndOfTheLearner) {
  for (const Pooling pooling : {Pooling::kCls, Pooling::kMean, Pooling::kMeanNominal}) {
    Model model(config(pooling), kTask, Dtype::f32, engine::Kernels::fused);
    const std::vector<double> weights = testing::noisy_parameters(model);
    const Predictor predictor(config(pooling), kTask, Dtype::f32, engine::Kernels::fused);
    const Prediction prediction = predictor.predict(request_of(examples_, false), weights);
    for (int64_t i = 0; i < kExamples; ++i) {
      const testing::Pass pass = testing::run_pass<float>(model, Mode::infer, model.rows_for(examples_.length(i, 0)),
                                                          sequence_of(examples_, i), weights);
      const auto begin = prediction.logits.begin() + i * testing::kClasses;
      EXPECT_EQ(std::vector<double>(begin, begin + testing::kClasses), pass.logits) << "example " << i;
      EXPECT_EQ(prediction.losses[static_cast<size_t>(i)], pass.loss) << "example " << i;
    }
    Learner learner(model, {.threads = 2}, {}, examples_.lengths());
    std::copy(weights.begin(), weights.end(), learner.weights().begin());
    const Tally tally = learner.evaluate(examples_);
    EXPECT_NEAR(prediction.mean_loss(), tally.loss(), 1e-12);
    EXPECT_EQ(prediction.correct, tally.correct);
    EXPECT_TRUE(prediction.gradients.empty());
  }
}

TEST_P(PredictTest, GradientsAreTheMeanOfTrainingGradientsWithoutDropout) {
  TrainConfig undropped = config();
  undropped.model.dropout = undropped.model.attention_dropout = 0;
  Model model(undropped, kTask, Dtype::f64, engine::Kernels::plain);
  const std::vector<double> weights = testing::noisy_parameters(model);
  std::vector<double> expected(weights.size(), 0.0);
  for (int64_t i = 0; i < kExamples; ++i) {
    const testing::Pass pass = testing::run_pass<double>(model, Mode::train, model.rows_for(examples_.length(i, 0)),
                                                         sequence_of(examples_, i), weights, 1.0 / kExamples);
    for (size_t j = 0; j < expected.size(); ++j) expected[j] += pass.gradients[j];
  }
  const Predictor predictor(config(), kTask, Dtype::f64, engine::Kernels::plain);
  const Prediction prediction = predictor.predict(request_of(examples_, true), weights);
  ASSERT_EQ(prediction.gradients.size(), expected.size());
  EXPECT_GT(largest_of(expected), 1e-3);
  for (size_t j = 0; j < expected.size(); ++j)
    ASSERT_NEAR(prediction.gradients[j], expected[j], 1e-13 * largest_of(expected)) << j;
}

TEST_P(PredictTest, GradientsInDoublePrecisionEqualCentralDifferences) {
  const Predictor predictor(config(), kTask, Dtype::f64, engine::Kernels::plain);
  const Model model(config(), kTask, Dtype::f64, engine::Kernels::plain);
  std::vector<double> weights = testing::noisy_parameters(model);
  const PredictRequest request = request_of(examples_, true);
  const std::vector<double> gradients = predictor.predict(request, weights).gradients;
  PredictRequest forward = request;
  forward.gradients = false;
  for (const engine::Parameter& parameter : predictor.parameters().list()) {
    const auto index = static_cast<size_t>(parameter.offset + parameter.shape.elements() / 2);
    const double kept = weights[index];
    const double slope = testing::slope([&](double step) {
      weights[index] = kept + step;
      return predictor.predict(forward, weights).mean_loss();
    });
    weights[index] = kept;
    EXPECT_NEAR(gradients[index], slope, 1e-8) << parameter.name;
  }
}

TEST_P(PredictTest, FusedKernelsAgreeWithPlainOnesAndWithDoublePrecision) {
  const Model model(config(), kTask, Dtype::f32, engine::Kernels::fused);
  const std::vector<double> weights = testing::noisy_parameters(model, 0.05);
  const auto predict = [&](Dtype dtype, engine::Kernels kernels) {
    return Predictor(config(), kTask, dtype, kernels).predict(request_of(examples_, true), weights);
  };
  const Prediction fused = predict(Dtype::f32, engine::Kernels::fused);
  const double rounding = attention::find(GetParam()).facts().single_precision_error;
  expect_close(fused, predict(Dtype::f32, engine::Kernels::plain), rounding, model.parameters());
  expect_close(fused, predict(Dtype::f64, engine::Kernels::plain), rounding, model.parameters());
}

TEST_P(PredictTest, ThreadsDoNotShow) {
  const Predictor predictor(config(), kTask, Dtype::f32, engine::Kernels::fused);
  const Model model(config(), kTask, Dtype::f32, engine::Kernels::fused);
  const std::vector<double> weights = testing::noisy_parameters(model);
  PredictRequest request = request_of(examples_, true);
  const Prediction one = predictor.predict(request, weights);
  for (const int threads : {2, 3, 20}) {
    request.threads = threads;
    const Prediction other = predictor.predict(request, weights);
    EXPECT_EQ(other.logits, one.logits) << threads;
    EXPECT_EQ(other.losses, one.losses) << threads;
    EXPECT_EQ(other.gradients, one.gradients) << threads;
  }
}

INSTANTIATE_TEST_SUITE_P(Mechanisms, PredictTest, ::testing::ValuesIn(attention::names()),
                         [](const auto& test) { return test.param; });

TEST(PredictMaskTest, TrailingZerosAreNoTokensAndInnerOnesOnlyWhereTheTaskMasksThem) {
  TrainConfig config = testing::tiny_config("softmax", 64);
  const Model model(config, kTask, Dtype::f64, engine::Kernels::plain);
  const std::vector<double> weights = testing::noisy_parameters(model);
  const auto logits = [&](bool mask_zeros, std::vector<int64_t> tokens) {
    config.task.mask_zero_tokens = mask_zeros;
    const Predictor predictor(config, kTask, Dtype::f64, engine::Kernels::plain);
    const auto n = static_cast<int64_t>(tokens.size());
    return predictor.predict({.n = n, .tokens = std::move(tokens), .labels = {}}, weights).logits;
  };
  EXPECT_EQ(logits(false, {3, 4, 0, 0, 0}), logits(false, {3, 4}));
  EXPECT_EQ(logits(true, {3, 4, 0, 0, 0}), logits(true, {3, 4}));
  EXPECT_NE(logits(false, {3, 0, 4}), logits(true, {3, 0, 4}));
  EXPECT_EQ(logits(false, {0, 0}), logits(true, {0}));
}

TEST(PredictRefusalTest, RequestsThatDoNotFit) {
  const TrainConfig config = testing::tiny_config("linear", 20);
  const Predictor predictor(config, kTask, Dtype::f32, engine::Kernels::fused);
  const std::vector<double> weights(static_cast<size_t>(predictor.parameters().flat_elements()), 0.1);
  const PredictRequest good{.n = 3, .tokens = {1, 2, 3, 4, 5, 0}, .labels = {0, 2}, .gradients = true};
  EXPECT_EQ(predictor.predict(good, weights).logits.size(), 2 * static_cast<size_t>(testing::kClasses));
  const auto message = [&](const std::function<void(PredictRequest&)>& spoil) -> std::string {
    PredictRequest bad = good;
    spoil(bad);
    try {
      predictor.predict(bad, weights);
    } catch (const Error& error) {
      return std::to_string(error.exit_code()) + " " + error.what();
    }
    return "not refused";
  };
  EXPECT_THAT(message([](PredictRequest& r) { r.tokens.clear(); }), HasSubstr("2 [predict] there are no tokens"));
  EXPECT_THAT(message([](PredictRequest& r) { r.n = 0; }), HasSubstr("2 [predict] there are no tokens"));
  EXPECT_THAT(message([](PredictRequest& r) { r = {.n = 21, .tokens = std::vector<int64_t>(21, 1), .labels = {}}; }),
              HasSubstr("2 [predict] n = 21 exceeds the model's nominal length 20"));
  EXPECT_THAT(message([](PredictRequest& r) { r.tokens[4] = testing::kVocabulary; }),
              HasSubstr("3 [predict] example 1 has the token 11 at position 1; the vocabulary is 0..10"));
  EXPECT_THAT(message([](PredictRequest& r) { r.tokens[2] = -1; }), HasSubstr("example 0 has the token -1"));
  EXPECT_THAT(message([](PredictRequest& r) { r.labels.clear(); }), HasSubstr("2 [predict] gradients"));
  EXPECT_THAT(message([](PredictRequest& r) { r.labels = {0}; }), HasSubstr("2 [predict] 1 labels for 2 examples"));
  EXPECT_THAT(message([](PredictRequest& r) { r.labels[1] = testing::kClasses; }),
              HasSubstr("3 [predict] example 1 has the label 3; classes are 0..2"));
  EXPECT_THAT(message([](PredictRequest& r) { r.labels[0] = -1; }), HasSubstr("label -1"));
  EXPECT_THAT(message([](PredictRequest& r) { r.memory_limit_bytes = 1000; }),
              HasSubstr("5 [memory] the prediction needs"));
}

}  // namespace
}  // namespace lra::harness
