// Softmax attention of near keys, and between sequences of different lengths: fused kernels against the definition.
#include <gtest/gtest.h>

#include "engine/errors.h"
#include "engine/ops/softmax_attention.h"
#include "tests/engine/op_testing.h"

namespace lra::engine::testing {
namespace {

/// q, k, v, with every third key masked and a run of masked ones at the end of the first hundred.
auto attention(const SoftmaxAttentionParams& params) {
  return [params](std::span<const Var> in) {
    const int64_t m = in[1].shape()[1];
    std::vector<double> mask(static_cast<size_t>(m), 1.0);
    for (int64_t j = 0; j < m; ++j)
      if (j % 3 == 1 || (j >= 80 && j < 100)) mask[static_cast<size_t>(j)] = 0.0;
    return std::vector<Var>{
        softmax_attention(in[0], in[1], in[2], in[0].graph().constant("mask", {m}, std::move(mask)), params)};
  };
}

std::vector<Array> arrays(int64_t n, int64_t m, int64_t d) {
  return {normal_array({2, n, d}, "q"), normal_array({2, m, d}, "k"), normal_array({2, m, d}, "v")};
}

TEST(SoftmaxReachTest, FusedEqualsPlainForEveryReach) {
  for (const int64_t n : {1, 40, 205})
    for (const bool causal : {false, true})
      for (const double dropout : {0.0, 0.3}) {
        const SoftmaxAttentionParams base{.scale = 0.4, .causal = causal, .dropout = dropout, .dropout_site = 9};
        for (const int64_t reach : {1, 20, 48, 100}) {
          SCOPED_TRACE(fmt::format("n {} reach {} causal {} dropout {}", n, reach, causal, dropout));
          SoftmaxAttentionParams window = base, block = base;
          window.window = block.block_size = reach;
          expect_fused_equals_plain(attention(window), arrays(n, n, 8), 2e-5);
          expect_fused_equals_plain(attention(block), arrays(n, n, 20), 2e-5);
        }
      }
}

TEST(SoftmaxReachTest, FusedEqualsPlainBetweenSequencesOfDifferentLengths) {
  for (const auto& [n, m] : {std::pair{1, 70}, {70, 1}, {300, 64}, {64, 300}, {33, 193}})
    expect_fused_equals_plain(attention({.scale = 0.4, .dropout = 0.2, .dropout_site = 3}), arrays(n, m, 12), 2e-5);
}

TEST(SoftmaxReachTest, GradientsEqualFiniteDifferences) {
  expect_gradients(attention({.scale = 0.4, .window = 2}), arrays(7, 7, 4), 1e-6);
  expect_gradients(attention({.scale = 0.4, .block_size = 3}), arrays(7, 7, 4), 1e-6);
  expect_gradients(attention({.scale = 0.4}), arrays(3, 6, 4), 1e-6);
}

TEST(SoftmaxReachTest, RefusesPositionsBetweenDifferentSequences) {
  Parameters parameters;
  Graph graph(Dtype::f32, Kernels::fused, parameters);
  const Var q = graph.input("q", {Dtype::f32, {2, 5, 4}}), k = graph.input("k", {Dtype::f32, {2, 6, 4}});
  const Var mask = graph.input("mask", {Dtype::f32, {6}});
  EXPECT_NO_THROW(fused_softmax_attention(q, k, k, mask, {}));
  EXPECT_THROW(fused_softmax_attention(q, k, k, mask, {.causal = true}), UsageError);
  EXPECT_THROW(fused_softmax_attention(q, k, k, mask, {.window = 2}), UsageError);
  EXPECT_THROW(fused_softmax_attention(q, k, k, mask, {.block_size = 2}), UsageError);
}

}  // namespace
}  // namespace lra::engine::testing
