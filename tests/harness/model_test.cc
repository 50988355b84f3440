// The whole classifier: gradients of every parameter, fused against plain, padding, FLOPs, parameter names.
#include "harness/model/model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <set>

#include "attention/registry.h"
#include "engine/errors.h"
#include "harness/presets.h"
#include "tests/harness/tiny_model.h"

namespace lra::harness {
namespace {

using engine::Dtype;
using testing::kTask;
using testing::Pass;
using testing::Sequence;

double largest(const std::vector<double>& values) {
  double most = 0;
  for (const double value : values) most = std::max(most, std::fabs(value));
  return most;
}

void expect_close(const Pass& got, const Pass& expected, double tolerance, const Model& model) {
  EXPECT_NEAR(got.loss, expected.loss, tolerance * (1 + std::fabs(expected.loss)));
  for (const engine::Parameter& parameter : model.parameters().list()) {
    const auto slice = [&](const Pass& pass) {
      const auto begin = pass.gradients.begin() + parameter.offset;
      return std::vector<double>(begin, begin + parameter.shape.elements());
    };
    const std::vector<double> a = slice(got), b = slice(expected);
    const double scale = std::max(largest(b), 1e-3 * largest(expected.gradients));
    for (size_t i = 0; i < b.size(); ++i)
      ASSERT_NEAR(a[i], b[i], tolerance * scale) << parameter.name << " element " << i << " of scale " << scale;
  }
}

class MechanismTest : public ::testing::TestWithParam<std::string> {
 protected:
  TrainConfig config(int64_t nominal_length, Pooling pooling = Pooling::kMean) const {
    return testing::tiny_config(GetParam(), nominal_length, pooling);
  }
  double rounding() const { return attention::find(GetParam()).facts().single_precision_error; }
};

TEST_P(MechanismTest, GradientsOfEveryParameterEqualFiniteDifferences) {
  for (const Pooling pooling : {Pooling::kCls, Pooling::kMean, Pooling::kMeanNominal, Pooling::kMeanPadded})
    for (const Positions positions : {Positions::kLearned, Positions::kSinusoidal})
      for (const bool variant : {false, true}) {  // biases, GELU and causal attention
        TrainConfig tiny = config(16, pooling);
        tiny.model.positions = positions;
        tiny.model.projection_bias = !variant;
        tiny.model.gelu = variant ? Gelu::kTanh : Gelu::kErf;
        tiny.attention.causal = variant && attention::find(GetParam()).facts().causal;
        SCOPED_TRACE(to_text(pooling) + " " + to_text(positions) + (variant ? " variant" : ""));
        Model model(tiny, kTask, Dtype::f64, engine::Kernels::plain);
        const Sequence sequence = testing::random_sequence(12);
        const int64_t rows = model.rows_for(12);
        std::vector<double> parameters = testing::noisy_parameters(model);
        const Pass at = testing::run_pass<double>(model, Mode::train, rows, sequence, parameters, 0.7);
        const auto loss = [&] {
          return 0.7 * testing::run_pass<double>(model, Mode::infer, rows, sequence, parameters).loss;
        };
        EXPECT_NEAR(loss(), 0.7 * at.loss, 1e-14);
        engine::Stream stream(8, engine::Purpose::data, "elements");
        for (const engine::Parameter& parameter : model.parameters().list())
          for (int repeat = 0; repeat < 4; ++repeat) {
            const auto elements = static_cast<uint64_t>(parameter.shape.elements());
            // Rows of a table that are used, too: the first ones.
            const uint64_t element = repeat == 0 ? std::min<uint64_t>(elements - 1, 9) : stream.below(elements);
            const auto index = static_cast<size_t>(parameter.offset) + element;
            const double kept = parameters[index];
            const double slope = testing::slope([&](double step) {
              parameters[index] = kept + step;
              return loss();
            });
            parameters[index] = kept;
            EXPECT_NEAR(at.gradients[index], slope, 2e-7 * (1 + std::fabs(slope))) << parameter.name << " " << element;
          }
      }
}

TEST_P(MechanismTest, EveryParameterGetsAGradient) {
  for (const Pooling pooling : {Pooling::kCls, Pooling::kMean}) {
    TrainConfig tiny = config(16, pooling);
    Model model(tiny, kTask, Dtype::f64, engine::Kernels::plain);
    const Pass pass = testing::run_pass<double>(model, Mode::train, model.rows_for(12), testing::random_sequence(12),
                                                testing::noisy_parameters(model));
    for (const engine::Parameter& parameter : model.parameters().list()) {
      const auto begin = pass.gradients.begin() + parameter.offset;
      EXPECT_GT(largest({begin, begin + parameter.shape.elements()}), 0) << parameter.name;
    }
  }
}

TEST_P(MechanismTest, FusedSinglePrecisionEqualsPlainDoublePrecisionWithDropoutOn) {
  for (const Pooling pooling : {Pooling::kCls, Pooling::kMean})
    for (const int64_t length : {1, 63, 530}) {
      SCOPED_TRACE(to_text(pooling) + " length " + std::to_string(length));
      TrainConfig tiny = config(600, pooling);
      tiny.model.dropout = tiny.model.attention_dropout = 0.2;
      Model plain(tiny, kTask, Dtype::f64, engine::Kernels::plain),
          fused(tiny, kTask, Dtype::f32, engine::Kernels::fused);
      // Little noise: what is being compared is rounding, and a saturated softmax amplifies it without bound.
      const std::vector<double> parameters = testing::noisy_parameters(plain, 0.05);
      const Sequence sequence = testing::random_sequence(length);
      const int64_t rows = plain.rows_for(length);
      for (const Mode mode : {Mode::train, Mode::infer})
        expect_close(testing::run_pass<float>(fused, mode, rows, sequence, parameters),
                     testing::run_pass<double>(plain, mode, rows, sequence, parameters), 5 * rounding(), plain);
    }
}

TEST(ModelPoolingTest, MeanOverPaddedLengthIsTheSumOverAllPositions) {
  // Without layers' help the pooled vector of pads counts as much as that of tokens: a shorter sequence, more pads.
  TrainConfig padded = testing::tiny_config("softmax", 40, Pooling::kMeanPadded);
  Model model(padded, kTask, Dtype::f64, engine::Kernels::plain);
  EXPECT_EQ(model.rows_for(3), 40);  // runs at full length
  EXPECT_EQ(model.rows_for(40), 40);
  const std::vector<double> parameters = testing::noisy_parameters(model);
  TrainConfig nominal = padded;
  nominal.model.pooling = Pooling::kMeanNominal;
  Model other(nominal, kTask, Dtype::f64, engine::Kernels::plain);
  const Sequence full = testing::random_sequence(40), half = testing::random_sequence(20);
  EXPECT_EQ(testing::run_pass<double>(model, Mode::infer, 40, full, parameters).logits.size(), 3);
  expect_close(testing::run_pass<double>(model, Mode::train, 40, full, parameters),
               testing::run_pass<double>(other, Mode::train, 40, full, parameters), 1e-12, model);
  EXPECT_NE(testing::run_pass<double>(model, Mode::infer, 40, half, parameters).logits,
            testing::run_pass<double>(other, Mode::infer, 40, half, parameters).logits);
}

/// Mechanisms that may run shorter than the nominal length.
class BucketsTest : public MechanismTest {};

std::vector<std::string> names_with_buckets() {
  std::vector<std::string> names = attention::names();
  std::erase_if(names, [](const std::string& name) {
    return attention::find(name).facts().length_semantics == attention::LengthSemantics::padded;
  });
  return names;
}

TEST_P(BucketsTest, LongerBucketsChangeNothing) {
  for (const Pooling pooling : {Pooling::kCls, Pooling::kMean, Pooling::kMeanNominal})
    for (const bool wide : {true, false}) {
      SCOPED_TRACE(to_text(pooling) + (wide ? " f64 plain" : " f32 fused"));
      TrainConfig tiny = config(400, pooling);
      tiny.model.dropout = tiny.model.attention_dropout = 0.2;
      Model model(tiny, kTask, wide ? Dtype::f64 : Dtype::f32, wide ? engine::Kernels::plain : engine::Kernels::fused);
      const std::vector<double> parameters = testing::noisy_parameters(model);
      const Sequence sequence = testing::random_sequence(50);
      const auto run = [&](int64_t rows) {
        return wide ? testing::run_pass<double>(model, Mode::train, rows, sequence, parameters)
                    : testing::run_pass<float>(model, Mode::train, rows, sequence, parameters);
      };
      const Pass expected = run(model.rows_for(50));
      for (const int64_t rows : {int64_t{128}, int64_t{320}, model.max_rows()})
        expect_close(run(rows), expected, wide ? 1e-12 : rounding(), model);
    }
}

TEST_P(MechanismTest, DeclaredFlopsAreTheProductsOfTheProductionKernels) {
  constexpr int64_t kRows = 128;
  for (const Pooling pooling : {Pooling::kCls, Pooling::kMean}) {
    const int64_t tokens = pooling == Pooling::kCls ? kRows - 1 : kRows;
    TrainConfig tiny = config(tokens, pooling);
    Model model(tiny, kTask, Dtype::f32, engine::Kernels::fused);
    const int64_t rows = model.rows_for(tokens), d = tiny.model.d_model;
    const int64_t pooled = pooling == Pooling::kCls ? 0 : 2 * rows * d;  // the mean is a product with the mask
    const ModelFlops declared = model.flops(tokens);
    const auto ratio = [&](Mode mode, int64_t poolings, int64_t flops) {
      return static_cast<double>(model.plan(rows, mode).product_flops() - poolings * pooled) /
             static_cast<double>(flops);
    };
    EXPECT_NEAR(ratio(Mode::infer, 1, declared.forward), 1, 0.02);
    EXPECT_NEAR(ratio(Mode::train, 2, declared.training()), 1, 0.02);
  }
}

/// Of training plans of preset `small`, whose memory is mostly that of the model's rows.
TEST_P(MechanismTest, MemoryGrowsAsDeclaredUpToTheLongestTask) {
  constexpr int64_t kShort = 1024, kLong = 16384;
  constexpr double kSlack = 0.05;
  const auto bytes = [](int64_t n) {
    const TrainConfig config =
        resolve_config({.task = "listops", .attention = GetParam(), .preset = "small", .sequence_length = n}).config;
    Model model(config, kTask, Dtype::f32, engine::Kernels::fused);
    return static_cast<double>(model.plan(model.rows_for(n), Mode::train).arena_bytes());
  };
  const double exponent = std::log(bytes(kLong) / bytes(kShort)) / std::log(16.0);
  EXPECT_LE(exponent, attention::find(GetParam()).facts().growth_exponent_memory + kSlack);
}

INSTANTIATE_TEST_SUITE_P(Mechanisms, MechanismTest, ::testing::ValuesIn(attention::names()),
                         [](const auto& test) { return test.param; });
INSTANTIATE_TEST_SUITE_P(Mechanisms, BucketsTest, ::testing::ValuesIn(names_with_buckets()),
                         [](const auto& test) { return test.param; });

TEST(ModelTest, FlopsOfPlainSoftmaxAreCountedExactly) {
  for (const Pooling pooling : {Pooling::kCls, Pooling::kMean})
    for (const int64_t length : {64, 128}) {
      TrainConfig tiny = testing::tiny_config("softmax", length, pooling);
      Model model(tiny, kTask, Dtype::f32, engine::Kernels::plain);
      const int64_t rows = model.rows_for(length),
                    pooled = pooling == Pooling::kCls ? 0 : 2 * rows * tiny.model.d_model;
      EXPECT_EQ(model.plan(rows, Mode::infer).product_flops(), model.flops(length).forward + pooled);
      // Backwards every product becomes two, the mean one (the mask needs no gradient).
      EXPECT_EQ(model.plan(rows, Mode::train).product_flops(), 3 * model.flops(length).forward + 2 * pooled);
    }
}

TEST(ModelTest, RowsAreBucketsOfSixtyFourUpToTheNominalLength) {
  TrainConfig tiny = testing::tiny_config("linear", 200);
  Model mean(tiny, kTask, Dtype::f32, engine::Kernels::fused);
  tiny.model.pooling = Pooling::kCls;
  Model cls(tiny, kTask, Dtype::f32, engine::Kernels::fused);
  for (const auto& [length, rows] :
       {std::pair<int64_t, int64_t>{1, 64}, {63, 64}, {64, 64}, {65, 128}, {193, 200}, {200, 200}})
    EXPECT_EQ(mean.rows_for(length), rows) << length;
  for (const auto& [length, rows] : {std::pair<int64_t, int64_t>{1, 64}, {63, 64}, {64, 128}, {200, 201}})
    EXPECT_EQ(cls.rows_for(length), rows) << length;
  EXPECT_GE(mean.rows_for(0), 1) << "an empty sequence still is a row of padding";
}

TEST(ModelTest, AnEmptySequenceHasAFiniteLoss) {
  for (const std::string& name : attention::names())
    for (const Pooling pooling : {Pooling::kCls, Pooling::kMean}) {
      TrainConfig tiny = testing::tiny_config(name, 100, pooling);
      Model model(tiny, kTask, Dtype::f32, engine::Kernels::fused);
      const Pass pass = testing::run_pass<float>(model, Mode::train, model.rows_for(0), testing::random_sequence(0),
                                                 testing::noisy_parameters(model));
      EXPECT_TRUE(std::isfinite(pass.loss)) << name;
      EXPECT_TRUE(std::isfinite(largest(pass.gradients))) << name;
    }
}

TEST(ModelTest, ANaNAnywhereMakesTheLossNaN) {
  // What diverged must be seen: no comparison on the way may replace a NaN by a number.
  for (const std::string& name : attention::names())
    for (const auto kernels : {engine::Kernels::plain, engine::Kernels::fused}) {
      TrainConfig tiny = testing::tiny_config(name, 64);
      Model model(tiny, kTask, Dtype::f32, kernels);
      std::vector<double> parameters = testing::noisy_parameters(model);
      Sequence strange = testing::random_sequence(10);
      strange.tokens[4] = testing::kVocabulary;
      EXPECT_TRUE(std::isnan(testing::run_pass<float>(model, Mode::infer, 64, strange, parameters).loss)) << name;
      for (const engine::Parameter& parameter : model.parameters().list()) {
        if (parameter.name == "embedding.tokens.weight") continue;  // its first row is the padding's
        double& value = parameters[static_cast<size_t>(parameter.offset)];
        const double kept = value;
        value = NAN;
        const Pass pass = testing::run_pass<float>(model, Mode::infer, 64, testing::random_sequence(10), parameters);
        EXPECT_TRUE(std::isnan(pass.loss)) << name << " " << parameter.name;
        value = kept;
      }
    }
}

TEST(ModelTest, PaddingTokensThemselvesHaveNoEffect) {
  TrainConfig tiny = testing::tiny_config("softmax", 64);
  Model model(tiny, kTask, Dtype::f64, engine::Kernels::plain);
  std::vector<double> parameters = testing::noisy_parameters(model);
  const Sequence sequence = testing::random_sequence(20);
  const double expected = testing::run_pass<double>(model, Mode::infer, 64, sequence, parameters).loss;
  for (const engine::Parameter& parameter : model.parameters().list())
    if (parameter.name == "embedding.tokens.weight") parameters[static_cast<size_t>(parameter.offset)] += 5;
  EXPECT_NEAR(testing::run_pass<double>(model, Mode::infer, 64, sequence, parameters).loss, expected, 1e-13);
}

/// The names in the table of docs/checkpoints.md: `a.weight`, `.bias` means a.weight and a.bias; I is a layer.
std::set<std::string> documented_names(int64_t layers) {
  std::ifstream file(std::filesystem::path(LRA_SOURCE_DIR) / "docs" / "checkpoints.md");
  const std::string text(std::istreambuf_iterator<char>(file), {});
  std::set<std::string> names;
  std::string last;
  const std::regex row(R"(\| (`[^|]*`) \|)"), name("`([^`]*)`");
  for (std::sregex_iterator at(text.begin(), text.end(), row), end; at != end; ++at) {
    const std::string cell = (*at)[1];
    for (std::sregex_iterator found(cell.begin(), cell.end(), name); found != end; ++found) {
      std::string full = (*found)[1];
      if (full.starts_with(".")) full = last.substr(0, last.rfind('.')) + full;
      last = full;
      const size_t layer = full.find(".I.");
      for (int64_t i = 0; i < (layer == std::string::npos ? 1 : layers); ++i)
        names.insert(
            layer == std::string::npos ? full : full.substr(0, layer + 1) + std::to_string(i) + full.substr(layer + 2));
    }
  }
  return names;
}

TEST(ModelTest, ParametersHaveTheDocumentedNamesAndNoOthers) {
  TrainConfig tiny = testing::tiny_config("softmax", 64, Pooling::kCls);
  const Model model(tiny, kTask, Dtype::f32, engine::Kernels::fused);
  std::set<std::string> declared;
  for (const engine::Parameter& parameter : model.parameters().list()) declared.insert(parameter.name);
  EXPECT_THAT(declared, ::testing::ContainerEq(documented_names(tiny.model.layers)));
}

TEST(ModelTest, RefusesAVocabularyThatIsTooSmallAndWhatTheMechanismCannotDo) {
  TrainConfig tiny = testing::tiny_config("softmax", 64);
  tiny.model.vocab_rows = testing::kVocabulary - 1;
  EXPECT_THROW(Model(tiny, kTask, Dtype::f32, engine::Kernels::fused), UsageError);
  tiny = testing::tiny_config("softmax", 64);
  tiny.attention.parameters["no_such"] = 1;
  EXPECT_THROW(Model(tiny, kTask, Dtype::f32, engine::Kernels::fused), UsageError);
  tiny = testing::tiny_config("softmax", 64);
  tiny.attention.name = "sofmax";
  EXPECT_THROW(Model(tiny, kTask, Dtype::f32, engine::Kernels::fused), UsageError);
}

TEST(ModelTest, SoftmaxParametersAreThoseOfTheSameModelWithSoftmax) {
  const TrainConfig tiny = testing::tiny_config("cosformer", 64);
  const Model softmax(testing::tiny_config("softmax", 64), kTask, Dtype::f32, engine::Kernels::fused);
  EXPECT_EQ(softmax_model_parameters(tiny, kTask), softmax.parameters().learned_elements());
}

}  // namespace
}  // namespace lra::harness
