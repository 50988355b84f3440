// Pairs of sequences: two encoders of one set of weights, and a head that reads both.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <tuple>

#include "engine/errors.h"
#include "engine/random.h"
#include "harness/learner.h"
#include "harness/predict.h"
#include "tests/harness/tiny_model.h"

namespace lra::harness {
namespace {

using engine::Dtype;
using testing::kLongest;

constexpr TaskShape kPairs{
    .vocab_size = testing::kVocabulary, .num_classes = testing::kClasses, .inputs_per_example = 2};

/// Pairs whose lengths have nothing to do with each other.
class PairExamples final : public Examples {
 public:
  explicit PairExamples(int64_t count) : first_(count, kLongest, 1), second_(count, kLongest, 2) {
    engine::Stream stream(3, engine::Purpose::data, "pairs");
    for (int64_t i = 0; i < count; ++i)
      partner_.push_back(static_cast<int64_t>(stream.below(static_cast<uint64_t>(count))));
  }
  int inputs() const override { return 2; }
  int64_t size() const override { return first_.size(); }
  int64_t length(int64_t example, int input) const override { return static_cast<int64_t>(of(example, input).size()); }
  int32_t label(int64_t example) const override {
    return (of(example, 0)[0] + of(example, 1)[0]) % static_cast<int32_t>(testing::kClasses);
  }
  void copy_tokens(int64_t example, int input, std::span<int32_t> tokens) const override {
    std::fill(tokens.begin(), tokens.end(), 0);
    std::copy(of(example, input).begin(), of(example, input).end(), tokens.begin());
  }
  const std::vector<int32_t>& of(int64_t example, int input) const {
    return input == 0 ? first_.of(example) : second_.of(partner_[static_cast<size_t>(example)]);
  }
  std::vector<int64_t> lengths() const {
    std::vector<int64_t> all;
    for (int64_t i = 0; i < size(); ++i)
      for (const int input : {0, 1}) all.push_back(length(i, input));
    return all;
  }

 private:
  testing::VariedExamples first_, second_;
  std::vector<int64_t> partner_;
};

/// [examples, 2, n], exchanged where asked for.
PredictRequest request_of(const PairExamples& examples, bool gradients, bool exchanged = false) {
  PredictRequest request{.n = kLongest, .tokens = {}, .labels = {}, .gradients = gradients};
  for (int64_t i = 0; i < examples.size(); ++i) {
    for (const int input : {0, 1}) {
      const std::vector<int32_t>& ids = examples.of(i, exchanged ? 1 - input : input);
      std::vector<int64_t> row(ids.begin(), ids.end());
      row.resize(static_cast<size_t>(kLongest), 0);
      request.tokens.insert(request.tokens.end(), row.begin(), row.end());
    }
    request.labels.push_back(examples.label(i));
  }
  return request;
}

TrainConfig config_of(const std::string& attention, PairFeatures features, int64_t classifier_layers = 1) {
  TrainConfig config = testing::tiny_config(attention, kLongest);
  config.model.pair_features = features;
  config.model.classifier_layers = classifier_layers;
  return config;
}

using HeadForm = std::tuple<PairFeatures, int64_t, Pooling>;
class PairHeadTest : public ::testing::TestWithParam<HeadForm> {
 protected:
  TrainConfig config() const {
    const auto& [features, layers, pooling] = GetParam();
    TrainConfig config = config_of("softmax", features, layers);  // smooth: differences meet no kink inside it
    config.model.pooling = pooling;
    return config;
  }
  const PairExamples examples_{4};
};

TEST_P(PairHeadTest, GradientsInDoublePrecisionEqualCentralDifferences) {
  const Predictor predictor(config(), kPairs, Dtype::f64, engine::Kernels::plain);
  const Model model(config(), kPairs, Dtype::f64, engine::Kernels::plain);
  std::vector<double> weights = testing::noisy_parameters(model);
  const PredictRequest request = request_of(examples_, true);
  const Prediction at = predictor.predict(request, weights);
  engine::Stream stream(5, engine::Purpose::data, "coordinates");
  for (const engine::Parameter& parameter : model.parameters().list()) {
    double scale = 0;
    for (int64_t i = 0; i < parameter.shape.elements(); ++i)
      scale = std::max(scale, std::fabs(at.gradients[static_cast<size_t>(parameter.offset + i)]));
    const auto element = static_cast<size_t>(
        parameter.offset + static_cast<int64_t>(stream.below(static_cast<uint64_t>(parameter.shape.elements()))));
    const double kept = weights[element];
    const double difference = testing::slope([&](double step) {
      weights[element] = kept + step;
      return predictor.predict(request, weights).mean_loss();
    });
    weights[element] = kept;
    EXPECT_NEAR(at.gradients[element], difference, 1e-7 * scale + 1e-10) << parameter.name;
  }
}

TEST_P(PairHeadTest, FusedKernelsAndTheLearnerComeToTheSame) {
  const Model model(config(), kPairs, Dtype::f64, engine::Kernels::plain);
  const std::vector<double> weights = testing::noisy_parameters(model);
  const Prediction exact =
      Predictor(config(), kPairs, Dtype::f64, engine::Kernels::plain).predict(request_of(examples_, true), weights);
  Model fused(config(), kPairs, Dtype::f32, engine::Kernels::fused);
  Learner learner(fused, {.threads = 2}, examples_.lengths(), examples_.lengths());
  std::copy(weights.begin(), weights.end(), learner.weights().begin());
  const Tally evaluated = learner.evaluate(examples_);
  EXPECT_NEAR(evaluated.loss(), exact.mean_loss(), 1e-5);
  EXPECT_EQ(evaluated.correct, exact.correct);
  const PredictRequest request = request_of(examples_, true);
  const Prediction single = Predictor(config(), kPairs, Dtype::f32, engine::Kernels::fused).predict(request, weights);
  double largest = 0;
  for (const double gradient : exact.gradients) largest = std::max(largest, std::fabs(gradient));
  for (size_t i = 0; i < exact.gradients.size(); ++i)
    ASSERT_NEAR(single.gradients[i], exact.gradients[i], 2e-5 * largest) << i;
}

TEST_P(PairHeadTest, TheOrderOfTheTwoMatters) {
  const Predictor predictor(config(), kPairs, Dtype::f64, engine::Kernels::plain);
  const std::vector<double> weights =
      testing::noisy_parameters(Model(config(), kPairs, Dtype::f64, engine::Kernels::plain));
  const Prediction one = predictor.predict(request_of(examples_, false), weights);
  const Prediction other = predictor.predict(request_of(examples_, false, true), weights);
  EXPECT_NE(one.logits, other.logits);
}

INSTANTIATE_TEST_SUITE_P(Heads, PairHeadTest,
                         ::testing::Values(HeadForm{PairFeatures::kConcat, 1, Pooling::kMean},
                                           HeadForm{PairFeatures::kConcat, 2, Pooling::kCls},
                                           HeadForm{PairFeatures::kNli, 1, Pooling::kMeanNominal},
                                           HeadForm{PairFeatures::kNli, 2, Pooling::kCls}));

/// Losses and weights of a short training.
std::pair<std::vector<double>, std::vector<float>> train(const TrainConfig& config, const LearnerOptions& options) {
  Model model(config, kPairs, Dtype::f32, engine::Kernels::fused);
  const PairExamples examples(20);
  Learner learner(model, options, examples.lengths(), {});
  BatchOrder order(examples.size(), config.train.batch_size, config.seed);
  std::vector<int64_t> batch(static_cast<size_t>(config.train.batch_size));
  std::vector<double> losses;
  for (int64_t step = 0; step < 4; ++step) {
    order.batch(step, batch);
    losses.push_back(learner.train_step(examples, batch, step).loss());
  }
  return {losses, {learner.weights().begin(), learner.weights().end()}};
}

TEST(PairsTest, ThreadsDoNotShowInTheNumbers) {
  for (const char* attention : {"softmax", "cosformer"}) {
    TrainConfig config = config_of(attention, PairFeatures::kNli);
    config.model.dropout = config.model.attention_dropout = 0.2;
    const auto one = train(config, {.threads = 1});
    EXPECT_EQ(train(config, {.threads = 2}), one) << attention;
    EXPECT_EQ(train(config, {.threads = 3, .most_at_once = 1}), one) << attention << " as a team";
  }
}

/// Twice the same sequence: the two are dropped out by masks of their own.
class TwinExamples final : public Examples {
 public:
  int inputs() const override { return 2; }
  int64_t size() const override { return 1; }
  int64_t length(int64_t, int) const override { return 60; }
  int32_t label(int64_t) const override { return 1; }
  void copy_tokens(int64_t, int, std::span<int32_t> tokens) const override {
    for (size_t i = 0; i < tokens.size(); ++i) tokens[i] = i < 60 ? static_cast<int32_t>(1 + i % 10) : 0;
  }
};

TEST(PairsTest, EachSequenceOfAPairDropsOutByItself) {
  TrainConfig config = config_of("cosformer", PairFeatures::kNli);
  config.model.dropout = 0.3;
  Model model(config, kPairs, Dtype::f32, engine::Kernels::fused);
  const TwinExamples twins;
  ExampleInputs<float> inputs(model);
  inputs.load(model, twins, 0);
  inputs.loss_weight = 1;
  std::vector<float> weights(static_cast<size_t>(model.parameters().flat_elements())), gradients(weights.size());
  model.parameters().initialize<float>(1, weights);
  const engine::Plan& plan = model.plan(inputs.sequences[0].rows, Mode::train);
  const engine::Plan& head = model.head_plan(Mode::train);
  engine::Arena first(plan.arena_bytes()), second(plan.arena_bytes()), last(head.arena_bytes());
  const ExamplePlans plans{.sequences = {&plan, &plan}, .head = &head};
  const ExampleMemory memory{.sequences = {first.data(), second.data()}, .head = last.data()};
  const engine::Bindings common{.parameters = weights.data(), .gradients = gradients.data(), .keys = {.seed = 1}};
  ExamplePass<float> pass(plans, memory, inputs, common);
  pass.forward();
  EXPECT_NE(inputs.sequences[0].pooled, inputs.sequences[1].pooled);
  // Without dropout they are the same.
  config.model.dropout = 0;
  Model still(config, kPairs, Dtype::f32, engine::Kernels::fused);
  const engine::Plan& still_plan = still.plan(inputs.sequences[0].rows, Mode::train);
  const ExamplePlans still_plans{.sequences = {&still_plan, &still_plan}, .head = &still.head_plan(Mode::train)};
  ExamplePass<float> undropped(still_plans, memory, inputs, common);
  undropped.forward();
  EXPECT_EQ(inputs.sequences[0].pooled, inputs.sequences[1].pooled);
}

TEST(PairsTest, TheForecastIsWhatIsAllocatedAndShortMemoryChangesNothing) {
  const TrainConfig config = config_of("softmax", PairFeatures::kNli);
  Model model(config, kPairs, Dtype::f32, engine::Kernels::fused);
  const PairExamples examples(20);
  MemoryForecast memory;
  {
    Learner learner(model, {.threads = 2}, examples.lengths(), examples.lengths());
    memory = learner.memory();
    EXPECT_EQ(memory.arena_bytes, learner.arena_bytes());
    EXPECT_EQ(memory.second_arena_bytes, memory.sequence_arena_bytes);
    EXPECT_GT(memory.head_arena_bytes, 0);
  }
  const int64_t needed_bytes = Learner(model, {.threads = 2}, examples.lengths(), {}).memory().total();
  const LearnerOptions tight{.threads = 2, .memory_limit_bytes = needed_bytes - 1};
  {
    Model short_of_memory(config, kPairs, Dtype::f32, engine::Kernels::fused);
    const Learner learner(short_of_memory, tight, examples.lengths(), {});
    EXPECT_TRUE(learner.memory().is_short || short_of_memory.activations() == engine::Activations::recomputed);
    EXPECT_LT(learner.memory().total(), needed_bytes);
  }
  EXPECT_EQ(train(config, tight), train(config, {.threads = 2}));
  Learner inferring(model, {.threads = 2}, {}, examples.lengths());
  EXPECT_EQ(inferring.memory().second_arena_bytes, 0);  // the two take turns
}

TEST(PairsTest, FlopsCountBothSequencesAndTheHead) {
  Model model(config_of("softmax", PairFeatures::kNli), kPairs, Dtype::f32, engine::Kernels::plain);
  EXPECT_EQ(model.flops(100).forward, 2 * model.encoder_flops(100).forward + model.head_flops().forward);
  EXPECT_EQ(model.head_plan(Mode::infer).product_flops(), model.head_flops().forward);
}

}  // namespace
}  // namespace lra::harness
