// Reverse mode: chains, fan-out, parts that nobody needs, and what it refuses.
#include "engine/autodiff.h"

#include <gtest/gtest.h>

#include <array>

#include "engine/ops/elementwise.h"
#include "engine/ops/matmul.h"
#include "engine/ops/reduce.h"
#include "engine/ops/shape.h"
#include "tests/engine/plan_testing.h"

namespace lra::engine::testing {
namespace {

TEST(AutodiffTest, AValueWithManyUsersSumsTheirGradients) {
  expect_operation(
      [](std::span<const Var> in) {
        Var y = tanh(in[0]);
        Var total = y;
        for (int i = 0; i < 6; ++i) total = add(total, multiply(y, affine(total, 0.1, 0.2)));
        return std::vector<Var>{total};
      },
      {Shape{3, 4}});
}

TEST(AutodiffTest, DeepChainsKeepEveryFactor) {
  expect_operation(
      [](std::span<const Var> in) {
        Var y = in[0];
        for (int i = 0; i < 40; ++i) y = tanh(affine(y, 1.1, 0.01));
        return std::vector<Var>{y};
      },
      {Shape{5}});
}

TEST(AutodiffTest, BroadcastsInsideCompositionsAreSummedBack) {
  const Builder build = [](std::span<const Var> in) {
    const Var centred = subtract(in[0], affine(sum(in[0], -1, true), 0.25, 0));
    const Var scaled = divide(centred, sqrt(affine(sum(square(centred), -1, true), 1, 0.1)));
    return std::vector<Var>{add(multiply(scaled, in[1]), in[2])};
  };
  expect_operation(build, {Shape{3, 4}, Shape{4}, Shape{1, 4}});
  expect_operation(build, {Shape{2, 3, 4}, Shape{}, Shape{3, 1}});
}

TEST(AutodiffTest, OnlyTheBranchThatIsNeededIsDifferentiated) {
  Parameters parameters;
  Graph graph(Dtype::f64, Kernels::plain, parameters);
  const Var x = graph.input("x", {Dtype::f64, {3}}), y = graph.input("y", {Dtype::f64, {3}});
  const Var z = multiply(exp(x), tanh(y));
  const Var wrt[] = {x};
  const Var seed = graph.constant("seed", {3}, {1, 1, 1});
  const size_t before = graph.nodes().size();
  const std::vector<Var> gradients = add_gradients(z, seed, wrt);
  ASSERT_EQ(gradients.size(), 1U);
  for (size_t id = before; id < graph.nodes().size(); ++id) {
    EXPECT_TRUE(graph.nodes()[id].backward);
    EXPECT_EQ(graph.nodes()[id].op->name(), "multiply");  // by tanh(y), then by exp(x): nothing for y
  }
  EXPECT_EQ(graph.nodes().size(), before + 2);
  EXPECT_FALSE(graph.nodes()[0].backward);
}

TEST(AutodiffTest, TheOutputItselfHasTheSeedAsItsGradientAndStrangersHaveZero) {
  Parameters parameters;
  Graph graph(Dtype::f64, Kernels::plain, parameters);
  const Var x = graph.input("x", {Dtype::f64, {2}}), stranger = graph.input("stranger", {Dtype::f64, {3}});
  const Var y = exp(x);
  const Var seed = graph.constant("seed", {2}, {5, 6});
  const Var wrt[] = {y, stranger, x};
  const std::vector<Var> gradients = add_gradients(y, seed, wrt);
  EXPECT_EQ(gradients[0], seed);
  EXPECT_EQ(graph.values()[static_cast<size_t>(gradients[1].id())].constants, (std::vector<double>{0, 0, 0}));
  EXPECT_EQ(gradients[2].shape(), Shape{2});
}

TEST(AutodiffTest, IntermediateValuesHaveGradientsToo) {
  const std::vector<Array> x = {normal_array({4}, "x")};
  std::vector<double> expected;
  const Builder build = [](std::span<const Var> in) {
    const Var middle = tanh(in[0]), y = square(middle);
    const Var wrt[] = {middle};
    const Var seed = y.graph().constant("seed", {4}, {1, 2, 3, 4});
    return std::vector<Var>{add_gradients(y, seed, wrt)[0], middle};
  };
  const Values values = Planned(build, x, false).run(x);
  for (size_t i = 0; i < 4; ++i) EXPECT_NEAR(values[0][i], 2 * values[1][i] * static_cast<double>(i + 1), 1e-14);
}

TEST(AutodiffTest, GradientsOfGradientsEqualFiniteDifferencesForPlainCompositions) {
  const Builder build = [](std::span<const Var> in) {
    const Var y = multiply(tanh(matmul(in[0], in[1])), sum(square(in[0]), 1, true));
    const Var seed = y.graph().constant("seed", y.shape(), std::vector<double>(12, 1.0));
    return std::vector<Var>{add_gradients(y, seed, std::array{in[0]})[0]};
  };
  const std::vector<Array> arguments = {normal_array({3, 2}, "a"), normal_array({2, 4}, "b")};
  const Values values = Planned(build, arguments, true).run(arguments);
  expect_close({values[1], values[2]}, central_differences(build, arguments), 1e-7, "second derivative");
}

TEST(AutodiffTest, EveryObjectiveAddsToTheGradientOfASharedParameter) {
  Parameters parameters;
  const int32_t index = parameters.declare("w", {2}, init_constant(0));
  Graph graph(Dtype::f64, Kernels::plain, parameters);
  const Var w = graph.parameter(index);
  EXPECT_EQ(graph.parameter(index), w);
  add_gradients(square(w), graph.constant("seed", {2}, {1, 1}));
  add_gradients(affine(w, 10, 0), graph.constant("seed", {2}, {1, 1}));
  const Plan plan(graph);
  Arena arena(plan.arena_bytes());
  arena.poison();
  std::vector<double> weights(16, 3.0), sums(16, 0.5);
  plan.run({.arena = arena.data(), .parameters = weights.data(), .gradients = sums.data()});
  EXPECT_EQ(sums[0], 0.5 + 6 + 10);
  EXPECT_EQ(sums[1], 0.5 + 6 + 10);
  EXPECT_EQ(sums[2], 0.5);
}

TEST(AutodiffTest, RefusesASeedOfAnotherShape) {
  Parameters parameters;
  Graph graph(Dtype::f64, Kernels::plain, parameters);
  const Var x = graph.input("x", {Dtype::f64, {2}});
  EXPECT_THROW(add_gradients(exp(x), graph.constant("seed", {1}, {1})), std::logic_error);
}

}  // namespace
}  // namespace lra::engine::testing
