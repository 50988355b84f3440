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

constexpr WorkRates kRates{.product_gflops = 1e-3, .exponentials_per_s = 1, .powers_per_s = 1, .draws_per_s = 1};

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

/// The plan of a training step with this attention.
const engine::Plan& train_plan(Model& model) { return model.plan(model.rows_for(300), Mode::train); }
Model tiny_model(const std::string& attention) {
  return Model(testing::tiny_config(attention, 300), testing::kTask, engine::Dtype::f32, engine::Kernels::fused);
}

TEST(InnerProductTest, ShapesThatKernelsTellMakeUpTheirProducts) {
  for (const char* attention : {"softmax", "linear", "cosformer"}) {
    Model model = tiny_model(attention);
    const engine::Plan& plan = train_plan(model);
    int64_t kernels = 0;
    for (size_t i = 0; i < plan.steps(); ++i) {
      const engine::Step& step = plan.step(i);
      int64_t told = 0;
      for (const engine::InnerProduct& product : step.effort.products) told += product.flops;
      kernels += told > 0;
      if (told == 0) continue;
      EXPECT_EQ(told, step.product_flops + step.effort.repeated_flops) << step.name;
    }
    EXPECT_GE(kernels, 2) << attention;
  }
}

TEST(InnerProductTest, IsMeasuredInAnyShape) {
  engine::Workers workers(1);
  for (const engine::InnerProduct& shape :
       {engine::InnerProduct{.m = 64, .n = 192, .k = 32, .transpose_b = true},
        engine::InnerProduct{.m = 5, .n = 3, .k = 7, .transpose_b = true},
        engine::InnerProduct{.m = 64, .n = 32, .k = 192},
        engine::InnerProduct{.m = 192, .n = 32, .k = 64, .transpose_a = true},
        engine::InnerProduct{.m = 9, .n = 5, .k = 3, .transpose_a = true},
        engine::InnerProduct{.m = 9, .n = 8, .k = 7, .transpose_a = true, .transpose_b = true}}) {
    const double gflops = inner_product_gflops(shape, workers);
    EXPECT_GT(gflops, 1e-3);
    EXPECT_LT(gflops, 1e5);
  }
}

TEST(LeastSecondsTest, TakesProductsInsideKernelsAtTheRateOfTheirShape) {
  engine::Workers workers(1);
  Model model = tiny_model("softmax");
  const engine::Plan& plan = train_plan(model);
  double inside = 0, untold = 0;
  for (size_t i = 0; i < plan.steps(); ++i) {
    const engine::Step& step = plan.step(i);
    if (step.name == "matmul" || step.name == "linear") continue;
    const double flops = work_of(step).product_flops;
    (step.effort.products.empty() ? untold : inside) += flops;
  }
  ASSERT_GT(inside, 0);
  const double seconds = least_seconds(plan, workers, kRates).products;
  EXPECT_GE(seconds, untold / 1e6);
  EXPECT_LT(seconds, (untold + 0.1 * inside) / 1e6);  // far from the made-up rate of kernels that tell nothing
}

TEST(LeastSecondsTest, CountsWeightsOfASoftmaxAsPowers) {
  engine::Workers workers(1);
  Model model = tiny_model("softmax");
  const engine::Plan& plan = train_plan(model);
  double powers = 0, exponentials = 0;
  for (size_t i = 0; i < plan.steps(); ++i) {
    powers += work_of(plan.step(i)).powers;
    exponentials += work_of(plan.step(i)).exponentials;
  }
  EXPECT_GT(powers, 300.0 * 300.0);
  WorkRates rates = kRates;
  rates.exponentials_per_s = 2;
  rates.powers_per_s = 4;
  EXPECT_DOUBLE_EQ(least_seconds(plan, workers, rates).exponentials, exponentials / 2 + powers / 4);
}

TEST(WorkRatesTest, AreMeasuredForEachKindOfWork) {
  engine::Workers workers(2);
  const WorkRates rates = measure_work_rates(workers);
  EXPECT_GT(rates.product_gflops, 0.1);
  EXPECT_GT(rates.exponentials_per_s, 1e5);
  EXPECT_GT(rates.powers_per_s, 1e5);
  EXPECT_GT(rates.draws_per_s, 1e5);
}

}  // namespace
}  // namespace lra::harness
