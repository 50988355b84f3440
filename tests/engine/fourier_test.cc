// The Fourier transform: fast against the definition for all kinds of lengths, its gradient.
#include "engine/ops/fourier.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "tests/engine/op_testing.h"

namespace lra::engine::testing {
namespace {

std::vector<Var> build(std::span<const Var> in) { return {fourier_mix(in[0])}; }

std::vector<Array> arrays(int64_t n, int64_t d) { return {normal_array({n, d}, "x")}; }

TEST(FourierMixTest, EqualsTheDoubleSum) {
  constexpr int64_t kN = 6, kD = 5;
  const std::vector<Array> at = arrays(kN, kD);
  const std::vector<double> y = evaluate(build, at, {})[0];
  for (int64_t k = 0; k < kN; ++k)
    for (int64_t l = 0; l < kD; ++l) {
      double expected = 0;
      for (int64_t t = 0; t < kN; ++t)
        for (int64_t m = 0; m < kD; ++m)
          expected +=
              at[0].values[static_cast<size_t>(t * kD + m)] *
              std::cos(2 * std::numbers::pi * (static_cast<double>(k * t) / kN + static_cast<double>(l * m) / kD));
      EXPECT_NEAR(y[static_cast<size_t>(k * kD + l)], expected, 1e-12);
    }
}

TEST(FourierMixTest, TheFastTransformEqualsTheDefinitionForEveryKindOfLength) {
  // Powers, products of small primes, one with factors of 23 and 29, primes too large for a butterfly.
  for (const int64_t n : {1, 2, 3, 4, 5, 7, 8, 12, 61, 64, 67, 100, 127, 256, 480, 509, 667})
    for (const int64_t d : {1, 2, 7, 16, 64}) {
      SCOPED_TRACE(fmt::format("n {} d {}", n, d));
      const Values plain = evaluate(build, arrays(n, d), {.dtype = Dtype::f64, .kernels = Kernels::plain});
      const Values fused = evaluate(build, arrays(n, d), {.dtype = Dtype::f32, .kernels = Kernels::fused});
      double largest = 0;
      for (const double value : plain[0]) largest = std::max(largest, std::fabs(value));
      for (size_t i = 0; i < plain[0].size(); ++i) ASSERT_NEAR(fused[0][i], plain[0][i], 2e-6 * largest) << i;
    }
}

TEST(FourierMixTest, GradientsEqualFiniteDifferences) {
  expect_gradients(build, arrays(6, 4));
  expect_gradients(build, arrays(5, 7));
  expect_fused_equals_plain(build, arrays(40, 8), 1e-4);
}

}  // namespace
}  // namespace lra::engine::testing
