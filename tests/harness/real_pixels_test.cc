// Pixels as numbers: a linear layer of (v / 255 - mean) / stddev in place of an embedding.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/errors.h"
#include "harness/learner.h"
#include "harness/predict.h"
#include "tests/harness/tiny_model.h"

namespace lra::harness {
namespace {

using engine::Dtype;
using ::testing::HasSubstr;

constexpr int64_t kPixels = 16;
constexpr double kMean = 0.4, kStddev = 0.25;
const TaskShape kImages{.vocab_size = 256,
                        .num_classes = testing::kClasses,
                        .image = tasks::ImageFacts{.height = 4, .width = 4, .mean = kMean, .stddev = kStddev}};

TrainConfig config_of(InputForm input) {
  TrainConfig config = testing::tiny_config("cosformer", kPixels);
  config.model.input = input;
  return config;
}

TEST(RealPixelsTest, EqualAnEmbeddingWhoseRowsAreTheLayersValues) {
  const Model real(config_of(InputForm::kReal), kImages, Dtype::f64, engine::Kernels::plain);
  const Model ids(config_of(InputForm::kTokens), kImages, Dtype::f64, engine::Kernels::plain);
  const std::vector<double> weights = testing::noisy_parameters(real);
  std::vector<double> embedded(static_cast<size_t>(ids.parameters().flat_elements()));
  const auto offset = [](const Model& model, const std::string& name) {
    for (const engine::Parameter& parameter : model.parameters().list())
      if (parameter.name == name) return parameter.offset;
    ADD_FAILURE() << name;
    return int64_t{0};
  };
  for (const engine::Parameter& parameter : ids.parameters().list()) {
    if (parameter.name == "embedding.tokens.weight") continue;
    std::copy_n(weights.begin() + offset(real, parameter.name), parameter.shape.elements(),
                embedded.begin() + parameter.offset);
  }
  const int64_t d = real.config().model.d_model;
  const int64_t weight = offset(real, "embedding.pixels.weight"), bias = offset(real, "embedding.pixels.bias");
  const int64_t table = offset(ids, "embedding.tokens.weight");
  for (int64_t v = 0; v < 256; ++v)
    for (int64_t j = 0; j < d; ++j)
      embedded[static_cast<size_t>(table + v * d + j)] =
          (static_cast<double>(v) / 255 - kMean) / kStddev * weights[static_cast<size_t>(weight + j)] +
          weights[static_cast<size_t>(bias + j)];
  PredictRequest request{.n = kPixels, .tokens = {}, .labels = {2}, .gradients = true};
  for (int64_t i = 0; i < kPixels; ++i) request.tokens.push_back(i * 17);
  const Prediction one =
      Predictor(config_of(InputForm::kReal), kImages, Dtype::f64, engine::Kernels::plain).predict(request, weights);
  const Prediction other =
      Predictor(config_of(InputForm::kTokens), kImages, Dtype::f64, engine::Kernels::plain).predict(request, embedded);
  for (size_t i = 0; i < one.logits.size(); ++i) EXPECT_NEAR(one.logits[i], other.logits[i], 1e-12);
  // The layer's gradients are sums of the table's, weighted by the pixels' values.
  for (int64_t j = 0; j < d; ++j) {
    double of_weight = 0, of_bias = 0;
    for (int64_t v = 0; v < 256; ++v) {
      const double gradient = other.gradients[static_cast<size_t>(table + v * d + j)];
      of_weight += (static_cast<double>(v) / 255 - kMean) / kStddev * gradient;
      of_bias += gradient;
    }
    EXPECT_NEAR(one.gradients[static_cast<size_t>(weight + j)], of_weight, 1e-12);
    EXPECT_NEAR(one.gradients[static_cast<size_t>(bias + j)], of_bias, 1e-12);
  }
}

/// An image that ends in black, as the evaluation reads it.
class BlackEndedImage final : public Examples {
 public:
  int64_t size() const override { return 1; }
  int64_t length(int64_t, int) const override { return kPixels; }
  int32_t label(int64_t) const override { return 1; }
  void copy_tokens(int64_t, int, std::span<int32_t> tokens) const override {
    for (int64_t i = 0; i < std::ssize(tokens); ++i)
      tokens[static_cast<size_t>(i)] = i < kPixels / 2 ? 1 + static_cast<int32_t>(i) : 0;
  }
};

TEST(PixelsTest, APredictionCountsTheLastBlackPixelsAsTheEvaluationDoes) {
  const BlackEndedImage image;
  PredictRequest request{.n = kPixels, .tokens = {}, .labels = {image.label(0)}};
  std::vector<int32_t> pixels(static_cast<size_t>(kPixels));
  image.copy_tokens(0, 0, pixels);
  request.tokens.assign(pixels.begin(), pixels.end());
  const TrainConfig config = config_of(InputForm::kTokens);
  Model model(config, kImages, Dtype::f32, engine::Kernels::fused);
  const std::vector<double> weights = testing::noisy_parameters(model);
  const std::vector<int64_t> lengths = {kPixels};
  Learner learner(model, {.threads = 1}, {}, lengths);
  std::copy(weights.begin(), weights.end(), learner.weights().begin());
  const Prediction prediction =
      Predictor(config, kImages, Dtype::f32, engine::Kernels::fused).predict(request, weights);
  EXPECT_NEAR(prediction.mean_loss(), learner.evaluate(image).loss(), 1e-12);
}

TEST(RealPixelsTest, AreRefusedWhereTokensAreNoPixels) {
  const auto make = [] { Model(config_of(InputForm::kReal), testing::kTask, Dtype::f32, engine::Kernels::fused); };
  EXPECT_THROW(make(), UsageError);
}

}  // namespace
}  // namespace lra::harness
