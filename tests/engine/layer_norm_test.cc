// Layer normalisation: values, gradients, and sums that accumulate.
#include "engine/ops/layer_norm.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/engine/op_testing.h"

namespace lra::engine::testing {
namespace {

std::vector<Var> build(std::span<const Var> inputs) { return {layer_norm(inputs[0], inputs[1], inputs[2], 1e-5)}; }

std::vector<Array> arguments(int64_t n, int64_t d) {
  std::vector<Array> arrays = {normal_array({n, d}, "x", 2), normal_array({d}, "gamma"), normal_array({d}, "beta")};
  for (double& value : arrays[0].values) value += 0.7;
  return arrays;
}

TEST(LayerNormTest, FusedEqualsPlain) {
  for (const auto& [n, d] : {std::pair<int64_t, int64_t>{1, 1}, {1, 32}, {7, 33}, {63, 64}, {5, 200}})
    expect_fused_equals_plain(build, arguments(n, d), 2e-5);
}

TEST(LayerNormTest, GradientsEqualFiniteDifferences) { expect_gradients(build, arguments(5, 7), 1e-6); }

TEST(LayerNormTest, RowsGetTheMomentsOfBetaAndGamma) {
  std::vector<Array> arrays = arguments(9, 64);
  arrays[1].values.assign(64, 3.0);
  arrays[2].values.assign(64, -2.0);
  const std::vector<double> y = evaluate(build, arrays, {})[0];
  for (size_t i = 0; i < 9; ++i) {
    double mean = 0, variance = 0;
    for (size_t j = 0; j < 64; ++j) mean += y[i * 64 + j] / 64;
    for (size_t j = 0; j < 64; ++j) variance += std::pow(y[i * 64 + j] - mean, 2) / 64;
    EXPECT_NEAR(mean, -2, 1e-12);
    EXPECT_NEAR(variance, 9, 1e-4);
  }
}

TEST(LayerNormTest, AConstantRowGivesBeta) {
  std::vector<Array> arrays = arguments(3, 48);
  arrays[0].values.assign(3 * 48, 100.0);
  const std::vector<double> y = evaluate(build, arrays, {.dtype = Dtype::f32, .kernels = Kernels::fused})[0];
  for (size_t i = 0; i < y.size(); ++i) EXPECT_NEAR(y[i], arrays[2].values[i % 48], 1e-5);
}

TEST(LayerNormTest, RefusesParametersOfAnotherWidth) {
  Parameters parameters;
  Graph graph(Dtype::f32, Kernels::fused, parameters);
  const Var x = graph.input("x", {Dtype::f32, {4, 8}}), gamma = graph.input("gamma", {Dtype::f32, {7}});
  EXPECT_THROW(layer_norm(x, gamma, gamma, 1e-5), std::logic_error);
}

}  // namespace
}  // namespace lra::engine::testing
