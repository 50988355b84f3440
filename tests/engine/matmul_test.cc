// Matrix products: every transposition and batch combination, strided operands, sums, biases, FLOPs.
#include "engine/ops/matmul.h"

#include <gtest/gtest.h>

#include <array>

#include "engine/ops/elementwise.h"
#include "engine/ops/shape.h"
#include "tests/engine/plan_testing.h"

namespace lra::engine::testing {
namespace {

constexpr int64_t kBatch = 2, kM = 3, kN = 4, kK = 5;

/// [rows, columns], transposed and batched as asked.
Shape operand(int64_t rows, int64_t columns, bool transpose, bool batched) {
  if (transpose) std::swap(rows, columns);
  return batched ? Shape{kBatch, rows, columns} : Shape{rows, columns};
}

double at(const Array& x, int64_t batch, int64_t row, int64_t column, bool transpose) {
  if (transpose) std::swap(row, column);
  const int64_t plane = x.shape.rank() == 3 ? batch * x.shape[1] * x.shape[2] : 0;
  return x.values[static_cast<size_t>(plane + row * x.shape[-1] + column)];
}

TEST(MatmulTest, EveryTranspositionAndBatchEqualsTheTripleLoopAndFiniteDifferences) {
  for (int variant = 0; variant < 16; ++variant) {
    const bool ta = variant & 1, tb = variant & 2, ba = variant & 4, bb = variant & 8;
    SCOPED_TRACE(
        fmt::format("a{}{} b{}{}", ta ? "^T" : "", ba ? " batched" : "", tb ? "^T" : "", bb ? " batched" : ""));
    const std::vector<Array> arguments = {normal_array(operand(kM, kK, ta, ba), "a"),
                                          normal_array(operand(kK, kN, tb, bb), "b")};
    const Builder build = [&](std::span<const Var> in) { return std::vector<Var>{matmul(in[0], in[1], ta, tb)}; };
    expect_operation(build, arguments);
    std::vector<double> expected;
    for (int64_t batch = 0; batch < (ba || bb ? kBatch : 1); ++batch)
      for (int64_t i = 0; i < kM; ++i)
        for (int64_t j = 0; j < kN; ++j) {
          double sum = 0;
          for (int64_t k = 0; k < kK; ++k) sum += at(arguments[0], batch, i, k, ta) * at(arguments[1], batch, k, j, tb);
          expected.push_back(sum);
        }
    expect_close(Planned(build, arguments, false).run(arguments), {expected}, 1e-14, "product");
  }
}

TEST(MatmulTest, ExtentsOfOneAreNoSpecialCase) {
  for (int ones = 0; ones < 8; ++ones)
    for (const bool ta : {false, true})
      for (const bool tb : {false, true}) {
        const int64_t m = ones & 1 ? 1 : 3, n = ones & 2 ? 1 : 4, k = ones & 4 ? 1 : 5;
        SCOPED_TRACE(fmt::format("m {} n {} k {}{}{}", m, n, k, ta ? " a^T" : "", tb ? " b^T" : ""));
        expect_operation([=](std::span<const Var> in) { return std::vector<Var>{matmul(in[0], in[1], ta, tb)}; },
                         {operand(m, k, ta, false), operand(k, n, tb, false)});
        expect_operation([=](std::span<const Var> in) { return std::vector<Var>{matmul(in[0], in[1], ta, tb)}; },
                         {Shape{1, ta ? k : m, ta ? m : k}, Shape{1, tb ? n : k, tb ? k : n}});
      }
}

TEST(MatmulTest, ColumnsOfWiderMatricesAreOperands) {
  // Windows of one column have unit rows whatever their stride.
  const Builder build = [](std::span<const Var> in) {
    const Var column = slice(in[0], 1, 2, 3), row = slice(in[1], 0, 1, 2);
    return std::vector<Var>{matmul(column, row), matmul(transpose(column), transpose(row), true, true),
                            matmul(column, column, true, false)};
  };
  Builder second = [&](std::span<const Var> in) { return std::vector<Var>{build(in)[2]}; };
  expect_operation(build, {Shape{4, 5}, Shape{3, 6}});
  expect_operation(second, {Shape{4, 5}, Shape{3, 6}});
}

TEST(MatmulTest, LinearIsAProductPlusABias) {
  const Builder build = [](std::span<const Var> in) { return std::vector<Var>{linear(in[0], in[1], in[2])}; };
  for (const int64_t n : {1, 5, 67})
    for (const int64_t out : {1, 3, 65, 128}) expect_operation(build, {Shape{n, 4}, Shape{4, out}, Shape{out}});
  const Builder plain = [](std::span<const Var> in) { return std::vector<Var>{linear(in[0], in[1], Var())}; };
  expect_operation(plain, {Shape{5, 4}, Shape{4, 3}});
  const std::vector<Array> arguments = {{.shape = {1, 2}, .values = {1, 2}},
                                        {.shape = {2, 2}, .values = {3, 4, 5, 6}},
                                        {.shape = {2}, .values = {10, 20}}};
  EXPECT_EQ(Planned(build, arguments, false).run(arguments), (Values{{23, 36}}));
}

TEST(MatmulTest, PartsOfALinearLayerAreItsColumns) {
  for (const bool bias : {true, false})
    for (const int64_t n : {1, 5, 300}) {
      const Builder build = [&](std::span<const Var> in) {
        const std::array<int64_t, 3> widths = {2, 5, 3};
        const std::vector<Var> parts = linear_parts(in[0], in[1], bias ? in[2] : Var(), widths);
        const std::array<Var, 3> read = {parts[0], affine(parts[2], 2, 0), parts[0]};  // one twice, one not at all
        return std::vector<Var>{concat(read, 1)};
      };
      if (bias) expect_operation(build, {Shape{n, 4}, Shape{4, 10}, Shape{10}});
      if (!bias) expect_operation(build, {Shape{n, 4}, Shape{4, 10}});
    }
  Parameters parameters;
  Graph graph(Dtype::f32, Kernels::fused, parameters);
  const Var x = graph.input("x", {Dtype::f32, {3, 4}}), w = graph.input("w", {Dtype::f32, {4, 10}});
  const std::array<int64_t, 2> too_few = {4, 5};
  EXPECT_ANY_THROW(linear_parts(x, w, Var(), too_few));
}

TEST(MatmulTest, ProductsAddToSumsInPlace) {
  // The second product adds to the memory of the first: two kernels, no addition.
  const Builder build = [](std::span<const Var> in) {
    return std::vector<Var>{add(matmul(in[0], in[1]), matmul(in[2], in[3], false, true))};
  };
  const std::vector<Array> arguments = {normal_array({6, 5}, "a"), normal_array({5, 7}, "b"), normal_array({6, 3}, "c"),
                                        normal_array({7, 3}, "d")};
  EXPECT_EQ(Planned(build, arguments, false).plan().steps(), 2U);
  expect_operation(build, arguments);
}

TEST(MatmulTest, AWeightUsedTwiceGetsBothGradients) {
  const Builder build = [](std::span<const Var> in) {
    return std::vector<Var>{linear(tanh(linear(in[0], in[1], in[2])), in[1], in[2])};
  };
  expect_operation(build, {Shape{6, 4}, Shape{4, 4}, Shape{4}});
}

TEST(MatmulTest, CountsTwoFlopsATermOfTheProductsThatRun) {
  const std::vector<Array> arguments = {normal_array({2, 3, 5}, "a"), normal_array({5, 4}, "b")};
  const Builder build = [](std::span<const Var> in) {
    matmul(in[0], in[1]);  // dead code is not counted
    return std::vector<Var>{matmul(in[0], in[1])};
  };
  EXPECT_EQ(Planned(build, arguments, false).plan().product_flops(), 2 * 2 * 3 * 4 * 5);
  EXPECT_EQ(Planned(build, arguments, true).plan().product_flops(), 3 * 2 * 2 * 3 * 4 * 5);
  const std::vector<Array> affine_map = {normal_array({3, 5}, "x"), normal_array({5, 4}, "w"), normal_array({4}, "b")};
  const Builder layer = [](std::span<const Var> in) { return std::vector<Var>{linear(in[0], in[1], in[2])}; };
  EXPECT_EQ(Planned(layer, affine_map, false).plan().product_flops(), 2 * 3 * 4 * 5);
  EXPECT_EQ(Planned(layer, affine_map, true).plan().product_flops(), 3 * 2 * 3 * 4 * 5);
}

TEST(MatmulTest, RefusesExtentsThatDoNotFit) {
  Parameters parameters;
  Graph graph(Dtype::f32, Kernels::fused, parameters);
  const Var a = graph.input("a", {Dtype::f32, {3, 5}}), b = graph.input("b", {Dtype::f32, {2, 5, 4}});
  EXPECT_THROW(matmul(a, b, true, false), std::logic_error);
  EXPECT_THROW(matmul(b, a, false, true), std::logic_error);
  EXPECT_THROW(matmul(b, graph.input("c", {Dtype::f32, {3, 4, 5}})), std::logic_error);
  EXPECT_THROW(linear(a, graph.input("w", {Dtype::f32, {5, 4}}), graph.input("bias", {Dtype::f32, {5}})),
               std::logic_error);
  EXPECT_THROW(linear(b, graph.input("w", {Dtype::f32, {4, 4}}), graph.input("bias", {Dtype::f32, {4}})),
               std::logic_error);
}

}  // namespace
}  // namespace lra::engine::testing
