// Convolution along rows against its definition, and its gradients.
#include "engine/ops/depthwise_convolution.h"

#include <gtest/gtest.h>

#include "tests/engine/op_testing.h"

namespace lra::engine::testing {
namespace {

std::vector<Var> build_convolution(std::span<const Var> in) { return {depthwise_convolution(in[0], in[1])}; }

std::vector<Array> arrays(int64_t n, int64_t d, int64_t taps) {
  return {normal_array({2, n, d}, "x"), normal_array({2, taps}, "w")};
}

TEST(DepthwiseConvolutionTest, EqualsTheDefinition) {
  for (const int64_t n : {1, 5, 8, 41})
    for (const int64_t d : {1, 16, 35})
      for (const int64_t taps : {1, 3, 35}) {
        const std::vector<Array> at = arrays(n, d, taps);
        const std::vector<double> y = evaluate(build_convolution, at, {})[0];
        for (int64_t head = 0; head < 2; ++head)
          for (int64_t i = 0; i < n; ++i)
            for (int64_t c = 0; c < d; ++c) {
              double expected = 0;
              for (int64_t t = 0; t < taps; ++t)
                if (const int64_t from = i + t - (taps - 1) / 2; from >= 0 && from < n)
                  expected += at[1].values[static_cast<size_t>(head * taps + t)] *
                              at[0].values[static_cast<size_t>((head * n + from) * d + c)];
              ASSERT_NEAR(y[static_cast<size_t>((head * n + i) * d + c)], expected, 1e-12)
                  << n << " " << d << " " << taps;
            }
      }
}

TEST(DepthwiseConvolutionTest, SinglePrecisionEqualsDouble) {
  for (const int64_t d : {5, 32}) expect_fused_equals_plain(build_convolution, arrays(70, d, 35), 2e-5);
}

TEST(DepthwiseConvolutionTest, GradientsEqualFiniteDifferences) {
  expect_gradients(build_convolution, arrays(6, 3, 5));
  expect_gradients(build_convolution, arrays(2, 3, 9));
}

TEST(DepthwiseConvolutionTest, RefusesEvenFilters) {
  Parameters parameters;
  Graph graph(Dtype::f32, Kernels::fused, parameters);
  const Var x = graph.input("x", {Dtype::f32, {2, 3, 4}});
  EXPECT_THROW(depthwise_convolution(x, graph.input("w", {Dtype::f32, {2, 4}})), std::logic_error);
  EXPECT_THROW(depthwise_convolution(x, graph.input("u", {Dtype::f32, {3, 3}})), std::logic_error);
}

}  // namespace
}  // namespace lra::engine::testing
