// Systems solved by the iterative inverse: against a Cholesky solve, its gradient against differences, fused against
// plain.
#include "engine/ops/newton_solve.h"

#include <gtest/gtest.h>

#include <Eigen/Cholesky>

#include "engine/ops/elementwise.h"
#include "engine/ops/matmul.h"
#include "engine/ops/reduce.h"
#include "tests/engine/op_testing.h"

namespace lra::engine::testing {
namespace {

constexpr double kRidge = 0.01;

/// Gaussian kernel matrices of m random points a head: what the inverse is for.
Var kernel_matrix(Var x) {
  const int64_t d = x.shape()[2];
  const Var ones = x.graph().constant("ones", {1, d}, std::vector<double>(static_cast<size_t>(d), 1.0));
  const Var rows = sum(square(x), 2, true), columns = matmul(ones, square(x), false, true);
  const Var distances = subtract(add(rows, columns), affine(matmul(x, x, false, true), 2, 0));
  return exp(affine(distances, -0.5, 0));
}

/// Points and right-hand sides.
std::vector<Array> points(int64_t heads, int64_t m, int64_t d) {
  return {normal_array({heads, m, d}, "points"), normal_array({heads, m, 3}, "right")};
}

std::vector<Var> build(std::span<const Var> inputs) {
  return {newton_solve(kernel_matrix(inputs[0]), inputs[1], {.ridge = kRidge})};
}

TEST(NewtonSolveTest, EqualsACholeskySolve) {
  constexpr int64_t kPlanes = 2, kSize = 24;
  const std::vector<Array> at = points(kPlanes, kSize, 6);
  const Values values = evaluate(
      [](std::span<const Var> in) {
        const Var p = kernel_matrix(in[0]);
        return std::vector<Var>{p, newton_solve(p, in[1], {.ridge = kRidge})};
      },
      at, {});
  using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  for (int64_t head = 0; head < kPlanes; ++head) {
    Matrix p = Eigen::Map<const Matrix>(values[0].data() + head * kSize * kSize, kSize, kSize);
    p.diagonal().array() += kRidge;
    const Matrix expected = p.llt().solve(Eigen::Map<const Matrix>(at[1].values.data() + head * kSize * 3, kSize, 3));
    const Matrix got = Eigen::Map<const Matrix>(values[1].data() + head * kSize * 3, kSize, 3);
    EXPECT_LE((got - expected).cwiseAbs().maxCoeff(), 1e-10 * expected.cwiseAbs().maxCoeff());
  }
}

TEST(NewtonSolveTest, FusedEqualsPlain) {
  for (const int64_t m : {1, 2, 17, 64}) expect_fused_equals_plain(build, points(3, m, 8), 2e-5);
}

TEST(NewtonSolveTest, GradientsEqualFiniteDifferences) { expect_gradients(build, points(2, 7, 5), 1e-6); }

TEST(NewtonSolveTest, CoincidingPointsStayFinite) {
  std::vector<Array> same = points(1, 8, 4);
  same[0].values.assign(32, 0.3);
  const Values inverse = evaluate(build, same, {.dtype = Dtype::f32, .kernels = Kernels::fused});
  for (const double value : inverse[0]) EXPECT_TRUE(std::isfinite(value));
}

TEST(NewtonSolveTest, RefusesWhatIsNotSquare) {
  Parameters parameters;
  Graph graph(Dtype::f32, Kernels::fused, parameters);
  const Var u = graph.input("u", {Dtype::f32, {2, 3, 5}});
  EXPECT_THROW(newton_solve(graph.input("p", {Dtype::f32, {2, 3, 4}}), u, {}), std::logic_error);
  EXPECT_THROW(newton_solve(graph.input("q", {Dtype::f32, {3, 3}}), u, {}), std::logic_error);
  EXPECT_THROW(newton_solve(graph.input("r", {Dtype::f32, {2, 4, 4}}), u, {}), std::logic_error);
}

}  // namespace
}  // namespace lra::engine::testing
