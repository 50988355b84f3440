// Row-wise steps run block by block give what the plain plan gives, and really are grouped and shrunk.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "engine/autodiff.h"
#include "engine/graph.h"
#include "engine/ops/activations.h"
#include "engine/ops/dropout.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/feature_maps.h"
#include "engine/ops/layer_norm.h"
#include "engine/ops/linear_attention.h"
#include "engine/ops/matmul.h"
#include "engine/ops/plain_linear_attention.h"
#include "engine/ops/reduce.h"
#include "engine/ops/shape.h"
#include "engine/parameters.h"
#include "engine/plan.h"

namespace lra::engine {
namespace {

constexpr int64_t kWidth = 24, kHidden = 40;

Var declared(Graph& graph, const std::string& name, const Shape& shape, const Initializer& initializer) {
  return graph.parameter(graph.parameters().declare(name, shape, initializer));
}

/// Linear attention on two heads; every fifth key is masked.
Var attend(Graph& graph, Var x, int64_t n) {
  constexpr int64_t kHeads = 2;
  std::vector<double> kept(static_cast<size_t>(n), 1.0);
  for (size_t i = 0; i < kept.size(); i += 5) kept[i] = 0.0;
  const Var mask = graph.constant("mask", {n}, std::move(kept));
  const Var packed = linear(x, declared(graph, "wqkv", {kWidth, 3 * kWidth}, init_normal(0.2)),
                            declared(graph, "bqkv", {3 * kWidth}, init_normal(0.1)));
  std::vector<Var> heads;
  for (const Var& part : split(packed, 3, 1)) heads.push_back(split_heads(part, kHeads));
  if (graph.use_fused())
    return merge_heads(fused_linear_attention(heads[0], heads[1], heads[2], mask,
                                              {.feature_map = elu_plus_one_features(), .epsilon = 1e-6}));
  const auto phi = [](Var y) { return affine(elu(y), 1, 1); };
  const Var keys = multiply(phi(heads[1]), reshape(mask, {n, 1}));
  return merge_heads(plain_linear_attention(phi(heads[0]), keys, heads[2], {Normalizer::add_epsilon, 1e-6, false}));
}

/// Two feed-forward blocks with everything that pipelines are made of, one reading its input through a packed concat,
/// and an attention between them, whose sums end a pipeline and whose queries' gradient is deferred.
void build(Graph& graph, int64_t n) {
  Var x = graph.input("x", {graph.dtype(), {n, kWidth}});
  const Var seed = graph.input("seed", {graph.dtype(), {n, kWidth}});
  for (int block = 0; block < 2; ++block) {
    const std::string name = "b" + std::to_string(block);
    const Var y = layer_norm(x, declared(graph, name + ".gamma", {kWidth}, init_constant(1.1)),
                             declared(graph, name + ".beta", {kWidth}, init_constant(0.1)), 1e-5);
    const Var hidden = linear(y, declared(graph, name + ".w1", {kWidth, kHidden}, init_normal(0.3)),
                              declared(graph, name + ".b1", {kHidden}, init_normal(0.1)));
    const Var active = gelu_dropout(hidden, Gelu::erf, 0.1, dropout_site(name, "hidden"));
    const std::vector<Var> halves = split(active, 2, 1);
    const Var swapped[] = {halves[1], halves[0]};
    const Var out = linear(concat(swapped, 1), declared(graph, name + ".w2", {kHidden, kWidth}, init_normal(0.3)),
                           declared(graph, name + ".b2", {kWidth}, init_normal(0.1)));
    x = add_dropout(x, out, 0.2, dropout_site(name, "out"));
    if (block == 0) x = add(x, attend(graph, x, n));
  }
  graph.mark_output("y", x);
  const Var wrt[] = {Var(&graph, graph.inputs()[0].value)};
  graph.mark_output("dx", add_gradients(x, seed, wrt)[0]);
}

/// Output, gradient of x, then all parameter gradients.
template <class T>
std::vector<double> run(Dtype dtype, Kernels kernels, int64_t n, void (*build_graph)(Graph&, int64_t) = build) {
  Parameters parameters;
  Graph graph(dtype, kernels, parameters);
  build_graph(graph, n);
  const Plan plan(graph);
  Arena arena(plan.arena_bytes());
  arena.poison();
  std::vector<T> weights(static_cast<size_t>(parameters.flat_elements())), gradients(weights.size());
  parameters.initialize<T>(3, weights);
  std::vector<T> x(static_cast<size_t>(n * kWidth)), seed(x.size());
  Stream stream(7, Purpose::data, "pipelines");
  for (size_t i = 0; i < x.size(); ++i) {
    x[i] = static_cast<T>(static_cast<float>(stream.normal()));
    seed[i] = static_cast<T>(static_cast<float>(stream.normal()));
  }
  void* inputs[] = {x.data(), seed.data()};
  const Bindings bindings{.arena = arena.data(),
                          .parameters = weights.data(),
                          .gradients = gradients.data(),
                          .inputs = inputs,
                          .keys = {.seed = 5, .step = 2, .example = 9}};
  plan.run(bindings);
  std::vector<double> numbers;
  for (const char* name : {"y", "dx"}) {
    const View view = plan.output(name, bindings);
    numbers.insert(numbers.end(), view.as<T>(), view.as<T>() + view.shape().elements());
  }
  numbers.insert(numbers.end(), gradients.begin(), gradients.end());
  return numbers;
}

void expect_near(const std::vector<double>& got, const std::vector<double>& expected) {
  ASSERT_EQ(got.size(), expected.size());
  double largest = 0;
  for (const double value : expected) largest = std::max(largest, std::abs(value));
  for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], expected[i], 1e-5 * largest) << "element " << i;
}

class PipelinesTest : public ::testing::TestWithParam<int64_t> {};

TEST_P(PipelinesTest, GiveWhatThePlainPlanGives) {
  const std::vector<double> expected = run<double>(Dtype::f64, Kernels::plain, GetParam());
  const std::vector<double> got = run<float>(Dtype::f32, Kernels::fused, GetParam());
  expect_near(got, expected);
}

INSTANTIATE_TEST_SUITE_P(Rows, PipelinesTest,
                         ::testing::Values(1, kPipelineRows - 1, kPipelineRows, kPipelineRows + 1, 2 * kPipelineRows,
                                           1000),
                         [](const auto& rows) { return "n" + std::to_string(rows.param); });

/// Attention to `kLandmarks` learned keys on two heads, composed of operations: what a mechanism's author writes.
void build_landmark_attention(Graph& graph, int64_t n) {
  constexpr int64_t kHeads = 2, kLandmarks = 40;
  const Var x = graph.input("x", {graph.dtype(), {n, kWidth}});
  const Var seed = graph.input("seed", {graph.dtype(), {n, kWidth}});
  const Var q = split_heads(linear(x, declared(graph, "wq", {kWidth, kWidth}, init_normal(0.3)),
                                   declared(graph, "bq", {kWidth}, init_normal(0.1))),
                            kHeads);
  const Var keys = declared(graph, "keys", {kHeads, kLandmarks, kWidth / kHeads}, init_normal(0.5));
  const Var values = declared(graph, "values", {kHeads, kLandmarks, kWidth / kHeads}, init_normal(0.5));
  // Squared distances to the landmarks, so that norms of rows and of landmarks are added on the way.
  const Var query_norms = sum(square(q), 2, true), key_norms = transpose(sum(square(keys), 2, true));
  const Var distances = subtract(add(query_norms, key_norms), affine(matmul(q, keys, false, true), 2, 0));
  const Var weights = multiply(softmax(affine(distances, -0.5, 0)), exp(affine(distances, -0.1, 0)));
  const Var y = linear(merge_heads(matmul(weights, values)), declared(graph, "wo", {kWidth, kWidth}, init_normal(0.3)),
                       declared(graph, "bo", {kWidth}, init_normal(0.1)));
  graph.mark_output("y", y);
  const Var wrt[] = {Var(&graph, graph.inputs()[0].value)};
  graph.mark_output("dx", add_gradients(y, seed, wrt)[0]);
}

TEST_P(PipelinesTest, GiveWhatThePlainPlanGivesForComposedAttention) {
  const std::vector<double> expected = run<double>(Dtype::f64, Kernels::plain, GetParam(), build_landmark_attention);
  const std::vector<double> got = run<float>(Dtype::f32, Kernels::fused, GetParam(), build_landmark_attention);
  expect_near(got, expected);
}

TEST(PipelinesTest, KeepOnlyABlockOfComposedAttentionWeights) {
  Parameters parameters;
  Graph graph(Dtype::f32, Kernels::fused, parameters);
  build_landmark_attention(graph, 16 * kPipelineRows);
  const Plan plan(graph);
  const size_t last = plan.backward_begin();
  size_t first = 0;
  while (plan.step(first).rows == 0) ++first;  // what is made of the landmarks alone
  EXPECT_GT(first, 0U);
  EXPECT_EQ(plan.step(first).pipeline_end, last) << "the rest of the forward pass is one pipeline";
  for (size_t i = 0; i < last; ++i) EXPECT_TRUE(plan.step(i).name != "softmax" || plan.step(i).inputs[0].block_local);
}

TEST(PipelinesTest, GroupTheRowWiseStepsOfAFeedForwardBlock) {
  Parameters parameters;
  Graph graph(Dtype::f32, Kernels::fused, parameters);
  build(graph, 1000);
  const Plan plan(graph);
  size_t longest = 0;
  for (size_t i = 0; i < plan.steps(); ++i) {
    EXPECT_TRUE(plan.step(i).pipeline_end <= plan.backward_begin() || i >= plan.backward_begin())
        << "a pipeline crosses into the backward pass";
    if (plan.step(i).rows > 0) longest = std::max(longest, plan.step(i).pipeline_end - i);
  }
  EXPECT_GE(longest, 5U);
}

TEST(PipelinesTest, KeepOnlyABlockOfWhatNobodyElseReads) {
  Parameters parameters;
  Graph graph(Dtype::f32, Kernels::fused, parameters);
  build(graph, 16 * kPipelineRows);
  const Plan plan(graph);
  std::map<int64_t, int> local;
  for (size_t i = 0; i < plan.steps(); ++i)
    for (const Place& place : plan.step(i).outputs)
      if (place.block_local) ++local[place.byte_offset];
  EXPECT_FALSE(local.empty());
}

}  // namespace
}  // namespace lra::engine
