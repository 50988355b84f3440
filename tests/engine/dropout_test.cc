// The operations dropout and add_dropout: one mask for all kernels and dtypes, and their gradients.
#include "engine/ops/dropout.h"

#include <gtest/gtest.h>

#include "engine/errors.h"
#include "engine/kernels/dropout_mask.h"
#include "tests/engine/op_testing.h"

namespace lra::engine::testing {
namespace {

const uint64_t kSite = dropout_site("layers.0.ffn", "output");

Builder dropout_of(double probability) {
  return [=](std::span<const Var> inputs) { return std::vector<Var>{dropout(inputs[0], probability, kSite)}; };
}

Builder add_dropout_of(double probability) {
  return [=](std::span<const Var> inputs) {
    return std::vector<Var>{add_dropout(inputs[0], inputs[1], probability, kSite)};
  };
}

TEST(DropoutTest, FusedEqualsPlain) {
  for (const Shape& shape : {Shape{1, 1}, Shape{9, 33}, Shape{3, 17, 20}}) {
    const Array x = normal_array(shape, "x"), residual = normal_array(shape, "residual");
    expect_fused_equals_plain(dropout_of(0.3), std::vector{x}, 1e-6);
    expect_fused_equals_plain(add_dropout_of(0.3), std::vector{residual, x}, 1e-6);
  }
}

TEST(DropoutTest, GradientsEqualFiniteDifferences) {
  const Array x = normal_array({2, 5, 7}, "x"), residual = normal_array({2, 5, 7}, "residual");
  expect_gradients(dropout_of(0.4), std::vector{x});
  expect_gradients(add_dropout_of(0.4), std::vector{residual, x});
}

TEST(DropoutTest, DrawsTheDecisionOfEachPlaneRowAndColumn) {
  const Shape shape{2, 11, 19};
  const Array ones{.shape = shape, .values = std::vector<double>(2 * 11 * 19, 1.0)};
  const RunOptions run{.dtype = Dtype::f32, .kernels = Kernels::fused};
  const std::vector<double> y = evaluate(dropout_of(0.5), std::vector{ones}, run)[0];
  for (int64_t plane = 0; plane < 2; ++plane) {
    const uint64_t key = dropout_key(run.keys.seed, kSite, static_cast<uint64_t>(plane));
    for (int64_t row = 0; row < 11; ++row)
      for (int64_t column = 0; column < 19; ++column)
        EXPECT_EQ(y[static_cast<size_t>((plane * 11 + row) * 19 + column)],
                  keep(key, run.keys, 32768, row, column) ? 2.0 : 0.0);
  }
}

TEST(DropoutTest, TheSameElementsFallInEveryDtype) {
  const Array x = normal_array({23, 45}, "x");
  const Values f64 = evaluate(dropout_of(0.1), std::vector{x}, {.dtype = Dtype::f64});
  const Values f32 = evaluate(dropout_of(0.1), std::vector{x}, {.dtype = Dtype::f32, .kernels = Kernels::fused});
  expect_close(f32, f64, 1e-6, "value");
}

TEST(DropoutTest, ProbabilityZeroIsTheIdentity) {
  Parameters parameters;
  Graph graph(Dtype::f32, Kernels::fused, parameters);
  const Var x = graph.input("x", {Dtype::f32, {4, 4}});
  EXPECT_EQ(dropout(x, 0, kSite), x);
  const Array array = normal_array({4, 4}, "x"), residual = normal_array({4, 4}, "residual");
  const Values sum = evaluate(add_dropout_of(0), std::vector{residual, array}, {});
  for (size_t i = 0; i < array.values.size(); ++i) EXPECT_EQ(sum[0][i], array.values[i] + residual.values[i]);
}

TEST(DropoutTest, TheGradientOfTheResidualIsTheOutputGradientItself) {
  Parameters parameters;
  Graph graph(Dtype::f32, Kernels::fused, parameters);
  const Var x = graph.input("x", {Dtype::f32, {4, 4}}), residual = graph.input("r", {Dtype::f32, {4, 4}});
  const Var y = add_dropout(residual, x, 0.5, kSite);
  const Var seed = graph.input("dy", {Dtype::f32, {4, 4}});
  const std::vector<Var> wrt = {residual, x};
  const std::vector<Var> found = add_gradients(y, seed, wrt);
  EXPECT_EQ(found[0], seed);
  EXPECT_FALSE(found[1] == seed);
}

TEST(DropoutTest, ProbabilitiesOutsideTheUnitIntervalAreUsageErrors) {
  EXPECT_THROW(dropout_threshold(1.0), UsageError);
  EXPECT_THROW(dropout_threshold(-0.1), UsageError);
  EXPECT_THROW(dropout_threshold(std::nan("")), UsageError);
  EXPECT_EQ(dropout_threshold(0.1), 6554U);
  EXPECT_EQ(dropout_threshold(0.9999999), 65535U);
}

TEST(DropoutTest, SitesDifferByScopeAndBySubject) {
  EXPECT_NE(dropout_site("a", "b"), dropout_site("b", "a"));
  EXPECT_NE(dropout_site("ab", ""), dropout_site("a", "b"));
}

}  // namespace
}  // namespace lra::engine::testing
