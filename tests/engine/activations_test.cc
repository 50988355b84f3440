// GELU in both forms, and its fusion with dropout.
#include "engine/ops/activations.h"

#include <gtest/gtest.h>

#include <cmath>

#include "engine/ops/dropout.h"
#include "tests/engine/op_testing.h"

namespace lra::engine::testing {
namespace {

class GeluTest : public ::testing::TestWithParam<Gelu> {
 protected:
  Builder gelu_builder() const {
    return [form = GetParam()](std::span<const Var> inputs) { return std::vector<Var>{gelu(inputs[0], form)}; };
  }
  Builder gelu_dropout_builder(double probability) const {
    return [=, form = GetParam()](std::span<const Var> inputs) {
      return std::vector<Var>{gelu_dropout(inputs[0], form, probability, dropout_site("layers.0", "ffn"))};
    };
  }
};

TEST_P(GeluTest, FusedEqualsPlain) {
  for (const Shape& shape : {Shape{7}, Shape{3, 33}, Shape{2, 5, 16}, Shape{2, 2, 3, 5}})
    expect_fused_equals_plain(gelu_builder(), std::vector{normal_array(shape, "x", 2)}, 1e-6);
}

TEST_P(GeluTest, WithDropoutFusedEqualsTheComposition) {
  for (const Shape& shape : {Shape{1, 1}, Shape{9, 131}, Shape{2, 17, 20}})
    expect_fused_equals_plain(gelu_dropout_builder(0.3), std::vector{normal_array(shape, "x", 2)}, 2e-6);
}

TEST_P(GeluTest, WithDropoutZeroIsGelu) {
  const Array x = normal_array({5, 9}, "x");
  const RunOptions run{.dtype = Dtype::f32, .kernels = Kernels::fused};
  EXPECT_EQ(evaluate(gelu_dropout_builder(0), std::vector{x}, run), evaluate(gelu_builder(), std::vector{x}, run));
}

TEST_P(GeluTest, GradientsEqualFiniteDifferences) {
  expect_gradients(gelu_builder(), std::vector{normal_array({4, 9}, "x", 2)});
  expect_gradients(gelu_dropout_builder(0.3), std::vector{normal_array({4, 9}, "x", 2)});
}

TEST_P(GeluTest, HasTheKnownValues) {
  const Array x{.shape = {4}, .values = {0, 1, -1, 3}};
  const std::vector<double> y = evaluate(gelu_builder(), std::vector{x}, {})[0];
  // Phi(1) = 0.8413447, Phi(3) = 0.9986501; the approximation is within 5e-4.
  const double tolerance = GetParam() == Gelu::erf ? 1e-6 : 5e-4;
  EXPECT_EQ(y[0], 0);
  EXPECT_NEAR(y[1], 0.8413447, tolerance);
  EXPECT_NEAR(y[2], -0.1586553, tolerance);
  EXPECT_NEAR(y[3], 2.9959503, tolerance);
}

INSTANTIATE_TEST_SUITE_P(Forms, GeluTest, ::testing::Values(Gelu::erf, Gelu::tanh),
                         [](const auto& parameter) { return parameter.param == Gelu::erf ? "erf" : "tanh"; });

}  // namespace
}  // namespace lra::engine::testing
