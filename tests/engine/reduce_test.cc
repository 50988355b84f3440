// Reductions along every axis, broadcasting back, and softmax.
#include "engine/ops/reduce.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "engine/ops/elementwise.h"
#include "engine/ops/shape.h"
#include "tests/engine/plan_testing.h"

namespace lra::engine::testing {
namespace {

using Reduction = Var (*)(Var, int, bool);

/// The reduction of every line along `axis`, by the definition.
std::vector<double> naive(const Array& x, int axis, bool largest) {
  int64_t inner = 1, outer = 1;
  for (int i = 0; i < axis; ++i) outer *= x.shape[i];
  for (int i = axis + 1; i < x.shape.rank(); ++i) inner *= x.shape[i];
  std::vector<double> result;
  for (int64_t o = 0; o < outer; ++o)
    for (int64_t i = 0; i < inner; ++i) {
      double value = largest ? -std::numeric_limits<double>::infinity() : 0;
      for (int64_t a = 0; a < x.shape[axis]; ++a) {
        const double element = x.values[static_cast<size_t>((o * x.shape[axis] + a) * inner + i)];
        value = largest ? std::max(value, element) : value + element;
      }
      result.push_back(value);
    }
  return result;
}

TEST(ReduceTest, SumAndMaxAlongEveryAxisEqualTheDefinitionAndFiniteDifferences) {
  for (const Shape& shape :
       {Shape{1}, Shape{33}, Shape{5, 1}, Shape{1, 6}, Shape{4, 17}, Shape{3, 4, 5}, Shape{2, 3, 4, 5}})
    for (int axis = 0; axis < shape.rank(); ++axis)
      for (const bool keep : {false, true})
        for (const bool largest : {false, true}) {
          SCOPED_TRACE(fmt::format("{} axis {} keep {} max {}", shape.to_string(), axis, keep, largest));
          const Reduction reduce = largest ? &max : &sum;
          const std::vector<Array> x = {normal_array(shape, "x")};
          const Builder build = [&](std::span<const Var> in) {
            EXPECT_EQ(reduce(in[0], axis, keep).shape(), reduce(in[0], axis - shape.rank(), keep).shape());
            return std::vector<Var>{reduce(in[0], axis, keep)};
          };
          expect_operation(build, x);
          expect_close(Planned(build, x, false).run(x), {naive(x[0], axis, largest)}, 1e-14, "value");
        }
}

TEST(ReduceTest, WindowsReduceLikeTheirContent) {
  for (const Reduction reduce : {Reduction{&sum}, Reduction{&max}})
    for (const int axis : {0, 1, 2}) {
      expect_operation(
          [=](std::span<const Var> in) { return std::vector<Var>{reduce(split_heads(in[0], 3), axis, true)}; },
          {Shape{4, 6}});
      expect_operation(
          [=](std::span<const Var> in) {
            return std::vector<Var>{reduce(slice(transpose(in[0], 0, 2), 1, 1, 3), axis, false)};
          },
          {Shape{2, 4, 3}});
    }
}

TEST(ReduceTest, TheGradientOfMaxGoesToTheFirstOfEquals) {
  const std::vector<Array> x = {{.shape = {2, 3}, .values = {1, 4, 4, 2, 2, 2}}};
  Planned planned([](std::span<const Var> in) { return std::vector<Var>{max(in[0], 1, false)}; }, x, true);
  const std::vector<double> w = objective_weights({2});
  EXPECT_EQ(planned.run(x), (Values{{4, 2}, {0, w[0], 0, w[1], 0, 0}}));
}

TEST(ReduceTest, NaNIsTheMaximumOfItsLineWhereverItStands) {
  for (size_t place = 0; place < 4; ++place)
    for (const int axis : {0, 1}) {
      std::vector<Array> x = {{.shape = axis == 0 ? Shape{4, 1} : Shape{1, 4}, .values = {1, 2, 3, 4}}};
      x[0].values[place] = std::numeric_limits<double>::quiet_NaN();
      for (const Dtype dtype : {Dtype::f32, Dtype::f64}) {
        Planned planned([&](std::span<const Var> in) { return std::vector<Var>{max(in[0], axis, true)}; }, x, false,
                        {.dtype = dtype});
        EXPECT_TRUE(std::isnan(planned.run(x)[0][0])) << "axis " << axis << " place " << place;
      }
    }
}

TEST(ReduceTest, BroadcastToRepeats) {
  const Shape full{2, 3, 4};
  for (const Shape& shape :
       {Shape{}, Shape{1}, Shape{4}, Shape{3, 1}, Shape{1, 4}, Shape{2, 1, 1}, Shape{1, 3, 1}, full}) {
    SCOPED_TRACE(shape.to_string());
    expect_operation([&](std::span<const Var> in) { return std::vector<Var>{broadcast_to(in[0], full)}; }, {shape});
  }
}

TEST(ReduceTest, BroadcastToRefusesOtherExtents) {
  Parameters parameters;
  Graph graph(Dtype::f32, Kernels::fused, parameters);
  const Var x = graph.input("x", {Dtype::f32, {3}});
  EXPECT_THROW(broadcast_to(x, {4}), std::logic_error);
  EXPECT_THROW(broadcast_to(x, {3, 1}), std::logic_error);
  EXPECT_THROW(broadcast_to(graph.input("y", {Dtype::f32, {2, 3}}), {3}), std::logic_error);
}

TEST(SoftmaxTest, EqualsItsDefinitionAndFiniteDifferences) {
  for (const Shape& shape : {Shape{1}, Shape{9}, Shape{3, 33}, Shape{2, 3, 5}, Shape{4, 1}}) {
    const std::vector<Array> x = {normal_array(shape, "x", 2)};
    const Builder build = [](std::span<const Var> in) { return std::vector<Var>{softmax(in[0])}; };
    expect_operation(build, x);
    std::vector<double> expected;
    for (size_t begin = 0; begin < x[0].values.size(); begin += static_cast<size_t>(shape[-1])) {
      double total = 0;
      for (size_t i = 0; i < static_cast<size_t>(shape[-1]); ++i) total += std::exp(x[0].values[begin + i]);
      for (size_t i = 0; i < static_cast<size_t>(shape[-1]); ++i)
        expected.push_back(std::exp(x[0].values[begin + i]) / total);
    }
    expect_close(Planned(build, x, false).run(x), {expected}, 1e-14, "softmax");
  }
  expect_operation([](std::span<const Var> in) { return std::vector<Var>{softmax(transpose(in[0]))}; }, {Shape{5, 3}});
}

TEST(SoftmaxTest, LargeLogitsAndMinusInfinityAreExact) {
  const double infinity = std::numeric_limits<double>::infinity();
  const std::vector<Array> x = {{.shape = {3, 2}, .values = {1e30, 1e30, -infinity, 5, -1e30, -2e30}}};
  for (const Dtype dtype : {Dtype::f32, Dtype::f64}) {
    Planned planned([](std::span<const Var> in) { return std::vector<Var>{softmax(in[0])}; }, x, false,
                    {.dtype = dtype});
    expect_close(planned.run(x), {{0.5, 0.5, 0, 1, 1, 0}}, 1e-7, "softmax");
  }
}

TEST(ReduceTest, GradientsOfGradientsAreRefusedWhereTheyAreNotImplemented) {
  Parameters parameters;
  Graph graph(Dtype::f64, Kernels::plain, parameters);
  const Var x = graph.input("x", {Dtype::f64, {2, 3}});
  const Var seed = graph.constant("seed", {2, 3}, std::vector<double>(6, 1.0));
  const Var wrt[] = {x};
  const Var first = add_gradients(softmax(x), seed, wrt)[0];
  EXPECT_THROW(add_gradients(first, seed, wrt), std::logic_error);
}

}  // namespace
}  // namespace lra::engine::testing
