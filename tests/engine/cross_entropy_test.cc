// The classifier's loss: known values, large logits, gradients.
#include "engine/ops/cross_entropy.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/engine/op_testing.h"

namespace lra::engine::testing {
namespace {

std::vector<Var> build(std::span<const Var> inputs) {
  const CrossEntropy result = cross_entropy(inputs[0], inputs[1]);
  return {result.loss, result.probabilities};
}

std::vector<Array> arguments(std::vector<double> logits, double label) {
  const auto classes = static_cast<int64_t>(logits.size());
  return {{.shape = {classes}, .values = std::move(logits)}, {.shape = {1}, .values = {label}, .integers = true}};
}

TEST(CrossEntropyTest, FusedEqualsPlain) {
  expect_fused_equals_plain(build, arguments({0.3, -1.2, 2.0, 0.7}, 1), 1e-6);
  expect_fused_equals_plain(build, arguments({0.3}, 0), 1e-6);
}

TEST(CrossEntropyTest, GradientsEqualFiniteDifferences) { expect_gradients(build, arguments({0.3, -1.2, 2.0}, 2)); }

TEST(CrossEntropyTest, EqualLogitsCostTheLogarithmOfTheClasses) {
  const Values found = evaluate(build, arguments(std::vector<double>(10, 5.0), 3), {});
  EXPECT_NEAR(found[0][0], std::log(10.0), 1e-14);
  for (const double probability : found[1]) EXPECT_NEAR(probability, 0.1, 1e-15);
}

TEST(CrossEntropyTest, LargeLogitsNeitherOverflowNorVanish) {
  const RunOptions run{.dtype = Dtype::f32, .kernels = Kernels::fused};
  EXPECT_EQ(evaluate(build, arguments({1e4, -1e4}, 0), run)[0][0], 0);
  EXPECT_EQ(evaluate(build, arguments({1e4, -1e4}, 1), run)[0][0], 2e4);
}

TEST(CrossEntropyTest, AnUnknownLabelMakesTheLossNaN) {
  EXPECT_TRUE(std::isnan(evaluate(build, arguments({1, 2}, 2), {})[0][0]));
  EXPECT_TRUE(std::isnan(evaluate(build, arguments({1, 2}, -1), {})[0][0]));
}

}  // namespace
}  // namespace lra::engine::testing
