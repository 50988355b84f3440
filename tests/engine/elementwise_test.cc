// Elementwise operations: values, broadcasting in every combination, gradients, windows as arguments, NaN.
#include "engine/ops/elementwise.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "engine/ops/shape.h"
#include "tests/engine/plan_testing.h"

namespace lra::engine::testing {
namespace {

using Unary = std::function<Var(Var)>;
using Binary = Var (*)(Var, Var);

struct UnaryCase {
  const char* name;
  Unary op;
  std::function<double(double)> expected;
  bool positive = false;  // arguments
};

const std::vector<UnaryCase>& unary_cases() {
  static const std::vector<UnaryCase> kCases = {
      {"affine", [](Var x) { return affine(x, -1.5, 0.25); }, [](double x) { return -1.5 * x + 0.25; }},
      {"relu", [](Var x) { return relu(x); }, [](double x) { return x > 0 ? x : 0; }},
      {"exp", [](Var x) { return exp(x); }, [](double x) { return std::exp(x); }},
      {"log", [](Var x) { return log(x); }, [](double x) { return std::log(x); }, true},
      {"sqrt", [](Var x) { return sqrt(x); }, [](double x) { return std::sqrt(x); }, true},
      {"square", [](Var x) { return square(x); }, [](double x) { return x * x; }},
      {"reciprocal", [](Var x) { return reciprocal(x); }, [](double x) { return 1 / x; }, true},
      {"tanh", [](Var x) { return tanh(x); }, [](double x) { return std::tanh(x); }},
      {"sigmoid", [](Var x) { return sigmoid(x); }, [](double x) { return 1 / (1 + std::exp(-x)); }},
      {"elu", [](Var x) { return elu(x); }, [](double x) { return x > 0 ? x : std::expm1(x); }},
      {"clamp_min", [](Var x) { return clamp_min(x, 0.3); }, [](double x) { return std::max(x, 0.3); }},
  };
  return kCases;
}

/// Away from kinks (0 and 0.3), from 0.5 on where positive.
Array argument(const Shape& shape, const char* name, bool positive) {
  Array array = normal_array(shape, name);
  for (double& value : array.values) {
    if (positive) value = 0.5 + std::fabs(value);
    if (std::fabs(value) < 0.01 || std::fabs(value - 0.3) < 0.01) value += 0.05;
  }
  return array;
}

TEST(ElementwiseTest, UnaryOperationsEqualTheirFormulasAndFiniteDifferences) {
  for (const UnaryCase& c : unary_cases()) {
    SCOPED_TRACE(c.name);
    for (const Shape& shape : {Shape{}, Shape{1}, Shape{17}, Shape{3, 5}, Shape{2, 3, 7}, Shape{2, 1, 3, 5}}) {
      const std::vector<Array> x = {argument(shape, c.name, c.positive)};
      const Builder build = [&](std::span<const Var> in) { return std::vector<Var>{c.op(in[0])}; };
      expect_operation(build, x);
      std::vector<double> expected;
      for (const double value : x[0].values) expected.push_back(c.expected(value));
      expect_close(Planned(build, x, false).run(x), {expected}, 1e-14, c.name);
    }
  }
}

TEST(ElementwiseTest, UnaryOperationsTakeTransposedAndCutArguments) {
  for (const UnaryCase& c : unary_cases()) {
    SCOPED_TRACE(c.name);
    const std::vector<Array> x = {argument({4, 6}, c.name, c.positive)};
    expect_operation([&](std::span<const Var> in) { return std::vector<Var>{c.op(transpose(in[0]))}; }, x);
    expect_operation([&](std::span<const Var> in) { return std::vector<Var>{c.op(slice(in[0], 1, 2, 5))}; }, x);
    expect_operation([&](std::span<const Var> in) { return std::vector<Var>{c.op(split_heads(in[0], 3))}; }, x);
  }
}

/// Every shape that broadcasts to [2, 3, 4]: missing axes, extents of 1, both.
std::vector<Shape> parts_of_shape() {
  std::vector<Shape> shapes = {{}};
  for (const int64_t c : {1, 4}) {
    shapes.push_back({c});
    for (const int64_t b : {1, 3}) {
      shapes.push_back({b, c});
      for (const int64_t a : {1, 2}) shapes.push_back({a, b, c});
    }
  }
  return shapes;
}

double apply(Binary op, double a, double b) {
  if (op == &add) return a + b;
  if (op == &subtract) return a - b;
  return op == &multiply ? a * b : a / b;
}

/// The value at row-major `index` of `shape` of an array that broadcasts to it.
double broadcast_at(const Array& array, const Shape& shape, int64_t index) {
  int64_t offset = 0, stride = 1;
  for (int axis = -1; axis >= -shape.rank(); --axis) {
    const int64_t i = index % shape[axis];
    index /= shape[axis];
    if (-axis > array.shape.rank()) continue;
    if (array.shape[axis] != 1) offset += i * stride;
    stride *= array.shape[axis];
  }
  return array.values[static_cast<size_t>(offset)];
}

class BroadcastTest : public ::testing::TestWithParam<int> {};

TEST_P(BroadcastTest, EveryPairOfShapesEqualsTheDefinitionAndFiniteDifferences) {
  const Binary op = std::array<Binary, 4>{add, subtract, multiply, divide}[static_cast<size_t>(GetParam())];
  for (const Shape& sa : parts_of_shape()) {
    for (const Shape& sb : parts_of_shape()) {
      SCOPED_TRACE(sa.to_string() + " and " + sb.to_string());
      const std::vector<Array> arguments = {argument(sa, "a", false), argument(sb, "b", true)};
      const Builder build = [&](std::span<const Var> in) { return std::vector<Var>{op(in[0], in[1])}; };
      expect_operation(build, arguments);
      Planned planned(build, arguments, false);
      const Shape shape = planned.graph().values().back().type.shape;
      std::vector<double> expected;
      for (int64_t i = 0; i < shape.elements(); ++i)
        expected.push_back(apply(op, broadcast_at(arguments[0], shape, i), broadcast_at(arguments[1], shape, i)));
      expect_close(planned.run(arguments), {expected}, 1e-15, "value");
    }
  }
}

constexpr const char* kBinaryNames[] = {"add", "subtract", "multiply", "divide"};
INSTANTIATE_TEST_SUITE_P(Operations, BroadcastTest, ::testing::Range(0, 4),
                         [](const auto& test) { return kBinaryNames[test.param]; });

TEST(ElementwiseTest, FourAxesBroadcast) {
  expect_operation([](std::span<const Var> in) { return std::vector<Var>{multiply(in[0], in[1])}; },
                   {Shape{2, 1, 3, 4}, Shape{5, 1, 4}});
}

TEST(ElementwiseTest, AnArgumentUsedTwiceGetsBothGradients) {
  expect_operation([](std::span<const Var> in) { return std::vector<Var>{multiply(in[0], in[0])}; }, {Shape{3, 4}});
  expect_operation([](std::span<const Var> in) { return std::vector<Var>{divide(in[0], square(in[0]))}; },
                   {Shape{3, 4}});
  expect_operation([](std::span<const Var> in) { return std::vector<Var>{subtract(in[0], transpose(in[0]))}; },
                   {Shape{4, 4}});
}

TEST(ElementwiseTest, GreaterIsOneAboveTheBoundAndHasNoGradient) {
  const std::vector<Array> x = {{.shape = {4}, .values = {-1, 0.5, 0.75, 2}}};
  Planned planned([](std::span<const Var> in) { return std::vector<Var>{greater(in[0], 0.5)}; }, x, true);
  EXPECT_EQ(planned.run(x), (Values{{0, 0, 1, 1}, {0, 0, 0, 0}}));
}

TEST(ElementwiseTest, SumToAddsUpWhatBroadcastingRepeated) {
  const std::vector<Array> x = {normal_array({2, 3, 4}, "x")};
  for (const Shape& shape : parts_of_shape()) {
    std::vector<double> expected(static_cast<size_t>(shape.elements()), 0.0);
    Array index{.shape = shape, .values = expected};
    for (size_t i = 0; i < index.values.size(); ++i) index.values[i] = static_cast<double>(i);
    for (int64_t i = 0; i < 24; ++i)
      expected[static_cast<size_t>(broadcast_at(index, {2, 3, 4}, i))] += x[0].values[static_cast<size_t>(i)];
    Planned planned([&](std::span<const Var> in) { return std::vector<Var>{sum_to(in[0], shape)}; }, x, false);
    expect_close(planned.run(x), {expected}, 1e-14, shape.to_string());
  }
}

TEST(ElementwiseTest, NaNPassesThroughEveryOperation) {
  // A diverged model must show a NaN loss, not hide it behind a comparison.
  const std::vector<Array> x = {{.shape = {1}, .values = {std::numeric_limits<double>::quiet_NaN()}}};
  for (const UnaryCase& c : unary_cases())
    for (const Dtype dtype : {Dtype::f32, Dtype::f64}) {
      const Builder build = [&](std::span<const Var> in) { return std::vector<Var>{c.op(in[0])}; };
      EXPECT_TRUE(std::isnan(Planned(build, x, false, {.dtype = dtype}).run(x)[0][0])) << c.name;
    }
}

TEST(ElementwiseTest, LargeArgumentsSaturate) {
  const std::vector<Array> x = {{.shape = {4}, .values = {-1e4, -200, 200, 1e4}}};
  const auto run = [&](const Unary& op, Dtype dtype) {
    const Builder build = [&](std::span<const Var> in) { return std::vector<Var>{op(in[0])}; };
    return Planned(build, x, false, {.dtype = dtype}).run(x)[0];
  };
  for (const Dtype dtype : {Dtype::f32, Dtype::f64}) {
    expect_close({run([](Var v) { return tanh(v); }, dtype)}, {{-1, -1, 1, 1}}, 1e-12, "tanh");
    expect_close({run([](Var v) { return sigmoid(v); }, dtype)}, {{0, 0, 1, 1}}, 1e-12, "sigmoid");
    expect_close({run([](Var v) { return elu(v); }, dtype)}, {{-1, -1, 200, 1e4}}, 1e-12, "elu");
  }
}

TEST(ElementwiseTest, RefusesShapesThatDoNotBroadcast) {
  Parameters parameters;
  Graph graph(Dtype::f32, Kernels::fused, parameters);
  const Var a = graph.input("a", {Dtype::f32, {2, 3}}), b = graph.input("b", {Dtype::f32, {2}});
  EXPECT_THROW(add(a, b), std::logic_error);
  EXPECT_THROW(add(a, graph.input("c", {Dtype::f64, {2, 3}})), std::logic_error);
}

}  // namespace
}  // namespace lra::engine::testing
