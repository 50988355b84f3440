// Directions and shifts of random features.
#include "engine/ops/random_features.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "engine/ops/elementwise.h"
#include "tests/engine/attention_case.h"
#include "tests/engine/plan_testing.h"

namespace lra::engine::testing {
namespace {

/// What `build` makes of the inputs, by the interpreter.
std::vector<double> made(const std::function<Var(Graph&, std::span<const Var>)>& build, std::span<const Array> inputs,
                         Dtype dtype, Kernels kernels) {
  Parameters parameters;
  Graph graph(dtype, kernels, parameters);
  std::vector<Var> vars;
  for (const Array& array : inputs) vars.push_back(graph.input(fmt::format("x{}", vars.size()), {dtype, array.shape}));
  const Var result = build(graph, vars);
  Interpreter interpreter(graph);
  for (size_t i = 0; i < vars.size(); ++i) interpreter.set(vars[i], inputs[i].values);
  interpreter.run();
  return interpreter.read(result.id());
}

TEST(RandomFeaturesTest, TheLargestExponentIsThatOfTheDefinition) {
  for (const int64_t n : {1, 7, 256, 300})
    for (const int64_t m : {1, 16, 37}) {
      const std::vector<Array> at = {normal_array({2, n, 5}, "x"), normal_array({m, 5}, "w")};
      const auto build = [&](Graph& graph, std::span<const Var> in) {
        std::vector<double> mask(static_cast<size_t>(n), 1.0);
        for (size_t i = 1; i < mask.size(); i += 2) mask[i] = 0;
        return largest_exponent(in[0], in[1], graph.constant("mask", {n}, std::move(mask)));
      };
      std::vector<double> expected;
      for (int64_t head = 0; head < 2; ++head) {
        double largest = -1e300;
        for (int64_t i = 0; i < n; i += 2)
          for (int64_t r = 0; r < m; ++r) {
            double exponent = 0;
            for (int64_t a = 0; a < 5; ++a) {
              const double x = at[0].values[static_cast<size_t>((head * n + i) * 5 + a)];
              exponent += x * at[1].values[static_cast<size_t>(r * 5 + a)] - x * x / 2;
            }
            largest = std::max(largest, exponent);
          }
        expected.push_back(largest);
      }
      expect_close({made(build, at, Dtype::f64, Kernels::plain)}, {expected}, 1e-12, "definition");
      expect_close({made(build, at, Dtype::f32, Kernels::fused)}, {expected}, 2e-6, "fused");
    }
}

TEST(RandomFeaturesTest, ItIsZeroWithoutAnyRow) {
  const auto build = [](Graph& graph, std::span<const Var> in) {
    return largest_exponent(in[0], in[1], graph.constant("mask", {3}, {0, 0, 0}));
  };
  const std::vector<Array> at = {normal_array({1, 3, 4}, "x"), normal_array({6, 4}, "w")};
  for (const Kernels kernels : {Kernels::plain, Kernels::fused})
    EXPECT_EQ(made(build, at, Dtype::f32, kernels), std::vector<double>{0.0});
}

TEST(RandomFeaturesTest, DirectionsAreDrawnAnewEverySoManySteps) {
  Parameters parameters;
  Graph graph(Dtype::f64, Kernels::plain, parameters);
  redrawn_directions(graph, 7, 5, 4, true, 3);
  const auto drawn = [&](uint32_t step, uint32_t example) {
    Buffer out({Dtype::f64, {5, 4}}, 0);
    run_op(*graph.nodes().back().op, {}, {out.view()}, {.seed = 11, .step = step, .example = example});
    return out.read();
  };
  EXPECT_EQ(drawn(0, 0), random_directions(11, 7, 0, 5, 4, true));
  EXPECT_EQ(drawn(2, 9), drawn(0, 0));
  EXPECT_EQ(drawn(3, 0), random_directions(11, 7, 1, 5, 4, true));
  EXPECT_NE(drawn(3, 0), drawn(0, 0));
}

TEST(RandomFeaturesTest, NoGradientPassesAStop) {
  const std::vector<double> weights = objective_weights({3, 4});
  const auto build = [&](Graph& graph, std::span<const Var> in) {
    const Var y = multiply(in[0], stop_gradient(square(in[0])));
    const Var wrt[] = {in[0]};
    return add_gradients(y, graph.constant("weights", {3, 4}, weights), wrt)[0];
  };
  const std::vector<Array> at = {normal_array({3, 4}, "x")};
  const std::vector<double> slopes = made(build, at, Dtype::f64, Kernels::plain);
  for (size_t i = 0; i < slopes.size(); ++i)
    EXPECT_NEAR(slopes[i], weights[i] * at[0].values[i] * at[0].values[i], 1e-12);
}

}  // namespace
}  // namespace lra::engine::testing
