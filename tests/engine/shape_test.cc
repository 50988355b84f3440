// Rearranging operations: where every element goes, gradients, and windows of windows feeding kernels.
#include "engine/ops/shape.h"

#include <gtest/gtest.h>

#include "engine/ops/elementwise.h"
#include "engine/ops/matmul.h"
#include "engine/ops/reduce.h"
#include "tests/engine/plan_testing.h"

namespace lra::engine::testing {
namespace {

/// 0, 1, 2, … so that an element's value names its place.
Array numbered(const Shape& shape) {
  Array array{.shape = shape, .values = std::vector<double>(static_cast<size_t>(shape.elements()))};
  for (size_t i = 0; i < array.values.size(); ++i) array.values[i] = static_cast<double>(i);
  return array;
}

std::vector<double> run(const Builder& build, std::vector<Array> arguments) {
  return Planned(build, arguments, false).run(arguments)[0];
}

TEST(ShapeTest, TransposeExchangesAnyTwoAxes) {
  EXPECT_EQ(run([](auto in) { return std::vector{transpose(in[0])}; }, {numbered({2, 3})}),
            (std::vector<double>{0, 3, 1, 4, 2, 5}));
  EXPECT_EQ(run([](auto in) { return std::vector{transpose(in[0], 0, 2)}; }, {numbered({2, 1, 3})}),
            (std::vector<double>{0, 3, 1, 4, 2, 5}));
  EXPECT_EQ(run([](auto in) { return std::vector{transpose(in[0], 0, 1)}; }, {numbered({2, 2, 2})}),
            (std::vector<double>{0, 1, 4, 5, 2, 3, 6, 7}));
}

TEST(ShapeTest, SplitSliceAndConcatCutAndJoinAlongAnyAxis) {
  EXPECT_EQ(run([](auto in) { return std::vector{split(in[0], 2, 1)[1]}; }, {numbered({2, 4})}),
            (std::vector<double>{2, 3, 6, 7}));
  EXPECT_EQ(run([](auto in) { return std::vector{slice(in[0], -1, 1, 3)}; }, {numbered({2, 4})}),
            (std::vector<double>{1, 2, 5, 6}));
  EXPECT_EQ(run([](auto in) { return std::vector{concat(in, 1)}; }, {numbered({2, 1}), numbered({2, 2})}),
            (std::vector<double>{0, 0, 1, 1, 2, 3}));
  EXPECT_EQ(run([](auto in) { return std::vector{concat(in, 0)}; }, {numbered({1, 2}), numbered({2, 2})}),
            (std::vector<double>{0, 1, 0, 1, 2, 3}));
}

TEST(ShapeTest, SplitHeadsPutsColumnsOfAHeadTogetherAndMergeHeadsUndoesIt) {
  EXPECT_EQ(run([](auto in) { return std::vector{split_heads(in[0], 2)}; }, {numbered({2, 4})}),
            (std::vector<double>{0, 1, 4, 5, 2, 3, 6, 7}));
  EXPECT_EQ(run([](auto in) { return std::vector{merge_heads(in[0])}; }, {numbered({2, 2, 2})}),
            (std::vector<double>{0, 1, 4, 5, 2, 3, 6, 7}));
  const Array x = numbered({5, 6});
  EXPECT_EQ(run([](auto in) { return std::vector{merge_heads(split_heads(in[0], 3))}; }, {x}), x.values);
}

TEST(ShapeTest, GatherTakesRowsInAnyOrderAndAsOftenAsAsked) {
  const Array rows{.shape = {4}, .values = {2, 0, 2, 2}, .integers = true};
  EXPECT_EQ(run([](auto in) { return std::vector{gather(in[0], in[1])}; }, {numbered({3, 2}), rows}),
            (std::vector<double>{4, 5, 0, 1, 4, 5, 4, 5}));
  const Builder build = [](std::span<const Var> in) { return std::vector{gather(in[0], in[1])}; };
  for (const Shape& shape : {Shape{3, 2}, Shape{2, 3, 5}, Shape{1, 3, 4}})
    expect_operation(build, std::vector<Array>{normal_array(shape, "x"), rows});
  const Builder windows = [](std::span<const Var> in) {
    return std::vector{gather(split_heads(in[0], 2), in[1]), gather(transpose(in[0]), in[1])};
  };
  expect_operation(windows, std::vector<Array>{normal_array({4, 6}, "x"), rows});
}

TEST(ShapeTest, GradientsOfRearrangementsEqualFiniteDifferences) {
  const std::vector<std::pair<Shape, std::function<Var(Var)>>> cases = {
      {{4, 6}, [](Var x) { return transpose(x); }},
      {{2, 3, 4}, [](Var x) { return transpose(x, 0, 2); }},
      {{2, 3, 4, 2}, [](Var x) { return transpose(x, 1, 3); }},
      {{4, 6},
       [](Var x) {
         return reshape(x, {2, 3, 4});
       }},
      {{4, 6}, [](Var x) { return reshape(transpose(x), {24}); }},
      {{4, 6}, [](Var x) { return slice(x, 0, 1, 3); }},
      {{4, 6}, [](Var x) { return slice(x, 1, 0, 4); }},
      {{2, 5, 3}, [](Var x) { return slice(x, 1, 4, 5); }},
      {{4, 6}, [](Var x) { return split_heads(x, 2); }},
      {{2, 3, 4}, [](Var x) { return merge_heads(x); }},
      {{2, 3, 4}, [](Var x) { return merge_heads(transpose(x, 0, 1)); }},
      {{6, 4}, [](Var x) { return split(x, 3, 0)[1]; }},                               // parts nobody uses
      {{6, 4}, [](Var x) { return multiply(split(x, 2, 0)[0], split(x, 2, 0)[1]); }},  // both parts
      {{6, 4}, [](Var x) { return multiply(slice(x, 0, 0, 4), slice(x, 0, 2, 6)); }},  // windows that overlap
      {{3, 4},
       [](Var x) {
         return concat(std::array{x, affine(x, 2, 0), x}, 0);
       }},  // one value twice
      {{3, 4},
       [](Var x) {
         return concat(std::array{exp(x), transpose(reshape(x, {4, 3}))}, 1);
       }},
      {{2, 3, 4},
       [](Var x) {
         return concat(std::array{exp(x), square(x)}, 2);
       }},
      {{},
       [](Var x) {
         return reshape(x, {1, 1});
       }},
  };
  for (size_t i = 0; i < cases.size(); ++i) {
    SCOPED_TRACE(i);
    expect_operation([&](std::span<const Var> in) { return std::vector<Var>{cases[i].second(in[0])}; },
                     {cases[i].first});
  }
}

TEST(ShapeTest, WindowsFeedProductsAndElementwiseOperations) {
  // q, k and v are windows on one buffer, heads strided inside its rows: the shape of every attention.
  const Builder attention = [](std::span<const Var> in) {
    const std::vector<Var> parts = split(matmul(in[0], in[1]), 3, 1);
    const Var q = split_heads(parts[0], 2), k = split_heads(parts[1], 2), v = split_heads(parts[2], 2);
    return std::vector<Var>{matmul(merge_heads(matmul(softmax(matmul(q, k, false, true)), v)), in[2])};
  };
  expect_operation(attention, {Shape{5, 4}, Shape{4, 12}, Shape{4, 3}}, 1e-4);
  const Builder transposed = [](std::span<const Var> in) {
    return std::vector<Var>{matmul(transpose(in[0]), slice(transpose(in[1]), 0, 1, 4)),
                            multiply(transpose(in[0]), in[2])};
  };
  expect_operation(transposed, {Shape{3, 4}, Shape{5, 6}, Shape{4, 1}});
}

TEST(ShapeTest, PiecesArePackedWithoutCopies) {
  const std::vector<Array> x = {normal_array({6, 4}, "x")};
  const auto steps = [&](const Builder& build) { return Planned(build, x, false).plan().steps(); };
  EXPECT_EQ(steps([](auto in) { return std::vector{concat(std::array{exp(in[0]), tanh(in[0])}, 1)}; }), 2U);
  EXPECT_EQ(steps([](auto in) { return std::vector{merge_heads(exp(split_heads(in[0], 2)))}; }), 1U);
  EXPECT_EQ(steps([](auto in) {
              const Var y = merge_heads(exp(split_heads(in[0], 2)));
              return std::vector{concat(std::array{y, exp(in[0])}, 1)};  // a pack inside a pack
            }),
            2U);
  EXPECT_EQ(steps([](auto in) { return std::vector{concat(std::array{exp(in[0]), in[0]}, 1)}; }), 2U);
}

TEST(ShapeTest, RefusesWhatDoesNotFit) {
  Parameters parameters;
  Graph graph(Dtype::f32, Kernels::fused, parameters);
  const Var x = graph.input("x", {Dtype::f32, {4, 6}}), y = graph.input("y", {Dtype::f32, {3, 5}});
  const Var index = graph.input("i", {Dtype::i32, {2}});
  EXPECT_THROW(reshape(x, {5, 5}), std::logic_error);
  EXPECT_THROW(split(x, 4, 1), std::logic_error);
  EXPECT_THROW(slice(x, 0, 2, 5), std::logic_error);
  EXPECT_THROW(slice(x, 0, 2, 2), std::logic_error);
  EXPECT_THROW(slice(x, 2, 0, 1), std::logic_error);
  EXPECT_THROW(transpose(x, 0, 2), std::logic_error);
  EXPECT_THROW(transpose(x, -3, 0), std::logic_error);
  EXPECT_THROW(split_heads(x, 4), std::logic_error);
  EXPECT_THROW(merge_heads(x), std::logic_error);
  EXPECT_THROW(gather(x, y), std::logic_error);
  EXPECT_THROW(gather(index, index), std::logic_error);
  EXPECT_THROW(concat(std::array{x, y}, 0), std::logic_error);
  EXPECT_THROW(concat(std::array{x, x}, 2), std::logic_error);
}

}  // namespace
}  // namespace lra::engine::testing
