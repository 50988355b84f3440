// Sums over earlier rows against their definition, and their gradients.
#include "engine/ops/prefix_sum.h"

#include <gtest/gtest.h>

#include "tests/engine/op_testing.h"

namespace lra::engine::testing {
namespace {

std::vector<Var> build_sums(std::span<const Var> in) { return {sum_before(in[0])}; }

TEST(SumBeforeTest, EqualsTheDefinition) {
  for (const int64_t rows : {1, 2, 7})
    for (const int64_t columns : {1, 16, 35}) {
      const std::vector<Array> at = {normal_array({3, rows, columns}, "x")};
      const std::vector<double> y = evaluate(build_sums, at, {})[0];
      for (int64_t plane = 0; plane < 3; ++plane)
        for (int64_t c = 0; c < columns; ++c) {
          double expected = 0;
          for (int64_t i = 0; i < rows; ++i) {
            const auto index = static_cast<size_t>((plane * rows + i) * columns + c);
            ASSERT_NEAR(y[index], expected, 1e-13) << rows << " " << columns;
            expected += at[0].values[index];
          }
        }
    }
}

TEST(SumBeforeTest, SinglePrecisionEqualsDouble) {
  expect_fused_equals_plain(build_sums, std::vector<Array>{normal_array({2, 40, 33}, "x")}, 1e-5);
}

TEST(SumBeforeTest, GradientsEqualFiniteDifferences) {
  expect_gradients(build_sums, std::vector<Array>{normal_array({2, 5, 3}, "x")});
  expect_gradients(build_sums, std::vector<Array>{normal_array({4, 3}, "x")});
}

}  // namespace
}  // namespace lra::engine::testing
