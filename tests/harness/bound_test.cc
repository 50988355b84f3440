// The least time of a plan: what it counts, at which rates.
#include "harness/bound.h"

#include <gtest/gtest.h>

#include "engine/ops/elementwise.h"
#include "engine/ops/matmul.h"
#include "tests/harness/tiny_model.h"

namespace lra::harness {
namespace {

/// The plan of y = x w + b, then y + 1, over `rows` rows.
struct Affine {
  explicit Affine(int64_t rows) : graph(engine::Dtype::f32, engine::Kernels::fused, parameters) {
    const engine::Var x = graph.input("x", {engine::Dtype::f32, {rows, 64}});
    const engine::Var w = graph.input("w", {engine::Dtype::f32, {64, 128}});
    const engine::Var b = graph.input("b", {engine::Dtype::f32, {128}});
    graph.mark_output("y", engine::affine(engine::linear(x, w, b), 1, 1));
    plan = std::make_unique<engine::Plan>(graph);
  }
  engine::Parameters parameters;
  engine::Graph graph;
  std::unique_ptr<engine::Plan> plan;
};

const engine::Step& step_named(const engine::Plan& plan, const std::string& name) {
  for (size_t i = 0; i < plan.steps(); ++i)
    if (plan.step(i).name == name) return plan.step(i);
  throw std::logic_error("the plan has no step " + name);
}

constexpr WorkRates kRates{.product_gflops = 1e-3, .exponentials_per_s = 1, .draws_per_s = 1};

TEST(HotProductTest, MeasuresProductsInOnePieceAndInBlocks) {
  engine::Workers workers(2);
  for (const int64_t rows : {100, 1000}) {
    const Affine affine(rows);
    const engine::Step& product = step_named(*affine.plan, "linear");
    EXPECT_EQ(product.rows, rows > engine::kPipelineRows ? rows : 0);
    const double gflops = hot_product_gflops(product, workers);
    EXPECT_GT(gflops, 0.01);
    EXPECT_LT(gflops, 1e5);
    EXPECT_EQ(hot_product_gflops(step_named(*affine.plan, "affine"), workers), 0);
  }
}

TEST(HotProductTest, LeavesOutOperandsThatNoCacheHolds) {
  engine::Parameters parameters;
  engine::Graph graph(engine::Dtype::f32, engine::Kernels::fused, parameters);
  const engine::Var a = graph.input("a", {engine::Dtype::f32, {1, 2, 1 << 20}});
  const engine::Var b = graph.input("b", {engine::Dtype::f32, {1, 1 << 20, 2}});
  graph.mark_output("c", engine::matmul(a, b));
  const engine::Plan plan(graph);
  engine::Workers workers(1);
  EXPECT_EQ(hot_product_gflops(step_named(plan, "matmul"), workers), 0);
  EXPECT_DOUBLE_EQ(least_seconds(plan, workers, kRates).products, static_cast<double>(plan.product_flops()) / 1e6);
}

TEST(LeastSecondsTest, TakesProductsAtTheRateOfTheirShape) {
  engine::Workers workers(1);
  const Affine affine(1000);
  EXPECT_EQ(work_of(step_named(*affine.plan, "linear")).product_flops, 2.0 * 1000 * 64 * 128);
  const WorkSeconds seconds = least_seconds(*affine.plan, workers, kRates);
  EXPECT_GT(seconds.products, 0);
  EXPECT_LT(seconds.products, 0.1 * 2.0 * 1000 * 64 * 128 / 1e6);  // far from the made-up rate of other kernels
  EXPECT_EQ(seconds.exponentials, 0);
  EXPECT_EQ(seconds.draws, 0);
  EXPECT_EQ(seconds.total(), seconds.products);
}

TEST(LeastSecondsTest, TakesProductsInsideOtherKernelsAtTheGivenRate) {
  engine::Workers workers(1);
  Model model(testing::tiny_config("softmax", 300), testing::kTask, engine::Dtype::f32, engine::Kernels::fused);
  const engine::Plan& plan = model.plan(model.rows_for(300), Mode::train);
  double inside = 0;
  for (size_t i = 0; i < plan.steps(); ++i)
    if (plan.step(i).name != "matmul" && plan.step(i).name != "linear")
      inside += static_cast<double>(plan.step(i).product_flops);
  ASSERT_GT(inside, 0);
  const double seconds = least_seconds(plan, workers, kRates).products;
  EXPECT_GE(seconds, inside / 1e6);
  EXPECT_LT(seconds, 1.5 * inside / 1e6);
}

TEST(WorkRatesTest, AreMeasuredForEachKindOfWork) {
  engine::Workers workers(2);
  const WorkRates rates = measure_work_rates(workers);
  EXPECT_GT(rates.product_gflops, 0.1);
  EXPECT_GT(rates.exponentials_per_s, 1e5);
  EXPECT_GT(rates.draws_per_s, 1e5);
}

}  // namespace
}  // namespace lra::harness
