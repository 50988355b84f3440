// Fused softmax attention against the definition in double: values, every gradient, masks, dropout, windows, threads.
#include "engine/ops/softmax_attention.h"

#include <gtest/gtest.h>

#include <cstring>
#include <thread>

#include "engine/errors.h"
#include "engine/kernels/dropout_mask.h"
#include "engine/onednn/info.h"
#include "engine/ops/dropout.h"
#include "tests/engine/attention_case.h"

namespace lra::engine {
namespace {

using testing::AttentionCase;
using testing::AttentionRun;
using testing::Dense;
using testing::MaskKind;

const ExampleKeys kKeys{.seed = 11, .step = 3, .example = 5};
constexpr uint64_t kSite = 77;

struct NaiveResult {
  Dense o, dq, dk, dv;
  explicit NaiveResult(const AttentionCase& c) : o(c.heads, c.n, c.d_head), dq(o), dk(o), dv(o) {}
};

struct Arguments {
  Dense q, k, v, output_gradient;
  explicit Arguments(AttentionRun& run)
      : q(run.q.dense()), k(run.k.dense()), v(run.v.dense()), output_gradient(run.output_gradient.dense()) {}
};

/// Adds what query i of a head contributes to everything.
void naive_row(const AttentionCase& c, const SoftmaxAttentionParams& params, const std::vector<float>& mask,
               const Arguments& x, int64_t head, int64_t i, NaiveResult& result) {
  const int64_t visible = c.causal ? i + 1 : c.n;
  const auto masked = [&](int64_t j) { return mask[static_cast<size_t>(j)] == 0.0F; };
  std::vector<double> weights(static_cast<size_t>(visible)), gradients(weights.size()), scales(weights.size(), 1.0);
  double largest = -1e300;
  for (int64_t j = 0; j < visible; ++j) {
    double& logit = weights[static_cast<size_t>(j)];
    for (int64_t a = 0; a < c.d_head; ++a) logit += x.q.at(head, i, a) * x.k.at(head, j, a) * params.scale;
    if (masked(j)) logit = -1e10;
    largest = std::max(largest, logit);
  }
  double sum = 0;
  for (double& weight : weights) sum += weight = std::exp(weight - largest);
  const uint32_t threshold = dropout_threshold(params.dropout);
  const uint64_t key = dropout_key(kKeys.seed, params.dropout_site, static_cast<uint64_t>(head));
  double dot = 0;
  for (int64_t j = 0; j < visible; ++j) {
    const auto at = static_cast<size_t>(j);
    weights[at] /= sum;
    if (threshold > 0) scales[at] = keep(key, kKeys, threshold, i, j) ? dropout_scale(threshold) : 0.0;
    for (int64_t a = 0; a < c.d_head; ++a) {
      const double gradient = x.output_gradient.at(head, i, a);
      result.o.at(head, i, a) += weights[at] * scales[at] * x.v.at(head, j, a);
      result.dv.at(head, j, a) += weights[at] * scales[at] * gradient;
      gradients[at] += scales[at] * gradient * x.v.at(head, j, a);
    }
    dot += weights[at] * gradients[at];
  }
  for (int64_t j = 0; j < visible; ++j) {
    if (masked(j)) continue;  // its logit is a constant
    const auto at = static_cast<size_t>(j);
    const double gradient = weights[at] * (gradients[at] - dot) * params.scale;
    for (int64_t a = 0; a < c.d_head; ++a) {
      result.dq.at(head, i, a) += gradient * x.k.at(head, j, a);
      result.dk.at(head, j, a) += gradient * x.q.at(head, i, a);
    }
  }
}

NaiveResult naive(const AttentionCase& c, const SoftmaxAttentionParams& params, AttentionRun& run) {
  NaiveResult result(c);
  const Arguments arguments(run);
  for (int64_t head = 0; head < c.heads; ++head) {
    for (int64_t i = 0; i < c.n; ++i) naive_row(c, params, run.mask, arguments, head, i, result);
  }
  return result;
}

SoftmaxAttentionParams params_of(const AttentionCase& c, double dropout) {
  return {.scale = 1.0 / std::sqrt(static_cast<double>(c.d_head)),
          .causal = c.causal,
          .dropout = dropout,
          .dropout_site = kSite};
}

void execute(const AttentionCase& c, const SoftmaxAttentionParams& params, AttentionRun& run) {
  run.execute(c, kKeys, [&](Var q, Var k, Var v, Var mask) { return fused_softmax_attention(q, k, v, mask, params); });
}

void expect_matches(const AttentionCase& c, const SoftmaxAttentionParams& params, AttentionRun& run) {
  execute(c, params, run);
  const NaiveResult want = naive(c, params, run);
  testing::expect_close(run.o, want.o, "o");
  testing::expect_close(run.dq, want.dq, "dq");
  testing::expect_close(run.dk, want.dk, "dk");
  testing::expect_close(run.dv, want.dv, "dv");
}

class SoftmaxAttentionTest : public ::testing::TestWithParam<AttentionCase> {
 protected:
  void SetUp() override { onednn::use_calling_thread_only(); }
};

TEST_P(SoftmaxAttentionTest, MatchesDefinition) {
  AttentionRun run(GetParam());
  expect_matches(GetParam(), params_of(GetParam(), 0.0), run);
}

TEST_P(SoftmaxAttentionTest, MatchesDefinitionWithDropout) {
  AttentionRun run(GetParam());
  expect_matches(GetParam(), params_of(GetParam(), 0.25), run);
}

std::vector<AttentionCase> cases() {
  std::vector<AttentionCase> list;
  for (const bool causal : {false, true}) {
    for (const int64_t n : {1, 2, 63, 100, 257}) {
      list.push_back({.n = n, .d_head = 16, .causal = causal, .mask = MaskKind::tail, .strided = true});
      list.push_back({.heads = 1, .n = n, .d_head = 5, .causal = causal});
      list.push_back({.heads = 1, .n = n, .d_head = 8, .causal = causal, .mask = MaskKind::all, .strided = true});
    }
    for (const int64_t d_head : {4, 32, 64}) {
      list.push_back({.heads = 3, .n = 100, .d_head = d_head, .causal = causal, .mask = MaskKind::random});
    }
    list.push_back({.n = 1000, .d_head = 32, .causal = causal, .mask = MaskKind::random, .strided = true});
    list.push_back({.heads = 1, .n = 1000, .d_head = 8, .causal = causal, .mask = MaskKind::tail});
  }
  return list;
}

INSTANTIATE_TEST_SUITE_P(Cases, SoftmaxAttentionTest, ::testing::ValuesIn(cases()));

TEST(SoftmaxAttentionMaskTest, KeysMaskedFromTheStartLeaveEarlyCausalRowsUniform) {
  const AttentionCase c{.heads = 1, .n = 300, .d_head = 8, .causal = true};
  AttentionRun run(c);
  std::fill_n(run.mask.begin(), 200, 0.0F);  // ends inside the second tile
  expect_matches(c, params_of(c, 0.0), run);
  double mean = 0;
  for (int64_t j = 0; j <= 150; ++j) mean += double{run.v.at(0, j, 3)} / 151;
  EXPECT_NEAR(run.o.at(0, 150, 3), mean, 1e-5);
}

TEST(SoftmaxAttentionMaskTest, WholeTilesOfMaskedKeysBeforeRealOnesCountForNothing) {
  const AttentionCase c{.heads = 1, .n = 1200, .d_head = 8};
  AttentionRun run(c);
  std::fill_n(run.mask.begin(), 700, 0.0F);
  run.mask[3] = 1.0F;
  expect_matches(c, params_of(c, 0.0), run);
  for (int64_t a = 0; a < c.d_head; ++a) {
    EXPECT_EQ(run.dk.at(0, 600, a), 0.0F);
    EXPECT_EQ(run.dv.at(0, 600, a), 0.0F);
  }
}

TEST(SoftmaxAttentionRangeTest, LargeLogitsStayFinite) {
  const AttentionCase c{.heads = 1, .n = 700, .d_head = 16};
  AttentionRun run(c);
  run.q.fill(21, 30.0);
  run.k.fill(22, 30.0);
  execute(c, params_of(c, 0.0), run);
  const NaiveResult want = naive(c, params_of(c, 0.0), run);
  // Logits in the thousands have absolute errors of 1e-3 in f32, and the weights relative ones.
  testing::expect_close(run.o, want.o, "o", nullptr, 1e-2);
}

TEST(SoftmaxAttentionThreadsTest, WorkersAtOnceGetTheBitsOfOne) {
  const AttentionCase c{.n = 600, .d_head = 32, .mask = MaskKind::random, .strided = true};
  AttentionRun alone(c);
  execute(c, params_of(c, 0.1), alone);
  std::vector<int> differences(2, 0);
  {
    std::vector<std::jthread> threads;
    for (int& different : differences) {
      threads.emplace_back([&] {
        onednn::use_calling_thread_only();
        for (int repeat = 0; repeat < 5; ++repeat) {
          AttentionRun run(c);
          execute(c, params_of(c, 0.1), run);
          const auto same = [](const testing::Window& a, const testing::Window& b) {
            return std::memcmp(a.buffer().data(), b.buffer().data(), a.buffer().size() * sizeof(float)) == 0;
          };
          different +=
              !(same(run.o, alone.o) && same(run.dq, alone.dq) && same(run.dk, alone.dk) && same(run.dv, alone.dv));
        }
      });
    }
  }
  EXPECT_EQ(differences, std::vector<int>(2, 0));
}

TEST(SoftmaxAttentionErrorsTest, RefusesWhatItCannotDo) {
  Parameters parameters;
  Graph graph(Dtype::f32, Kernels::fused, parameters);
  const Var q = graph.input("q", {Dtype::f32, {2, 9, 4}});
  const Var short_k = graph.input("k", {Dtype::f32, {2, 8, 4}});
  const Var mask = graph.input("mask", {Dtype::f32, {9}});
  EXPECT_THROW(fused_softmax_attention(q, short_k, q, mask, {}), UsageError);
  EXPECT_THROW(fused_softmax_attention(q, q, q, mask, {.dropout = 1.0}), UsageError);
  EXPECT_THROW(fused_softmax_attention(q, q, q, mask, {.scale = 0.0}), UsageError);
}

}  // namespace
}  // namespace lra::engine
