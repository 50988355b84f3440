// Fused linear attention against explicit weights in double: values, every gradient, masks, windows, threads.
#include "engine/ops/linear_attention.h"

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <numbers>
#include <thread>

#include "engine/errors.h"
#include "engine/onednn/info.h"
#include "engine/ops/feature_maps.h"
#include "tests/engine/attention_case.h"

namespace lra::engine {
namespace {

using testing::AttentionCase;
using testing::AttentionRun;
using testing::Dense;
using testing::MaskKind;

/// A feature map in double: value and derivative of feature r at a position with respect to x[r % d].
struct NaiveMap {
  int64_t copies;
  std::function<double(int64_t position, int64_t copy, double x)> value;
  std::function<double(int64_t position, int64_t copy, double x)> slope;
};

NaiveMap naive_elu() {
  const auto value = [](int64_t, int64_t, double x) { return x > 0 ? x + 1 : std::exp(x); };
  const auto slope = [](int64_t, int64_t, double x) { return x > 0 ? 1.0 : std::exp(x); };
  return {1, value, slope};
}

NaiveMap naive_cosine(int64_t nominal_length) {
  const auto factor = [nominal_length](int64_t position, int64_t copy) {
    const double theta =
        std::numbers::pi * static_cast<double>(position + 1) / (2.0 * static_cast<double>(nominal_length));
    return copy == 0 ? std::sin(theta) : std::cos(theta);
  };
  const auto value = [factor](int64_t i, int64_t copy, double x) { return x > 0 ? x * factor(i, copy) : 0.0; };
  const auto slope = [factor](int64_t i, int64_t copy, double x) { return x > 0 ? factor(i, copy) : 0.0; };
  return {2, value, slope};
}

struct NaiveResult {
  Dense o, dq, dk, dv;
  Dense dq_terms;  // magnitudes: those of a query with few active features, all small, are large and cancel
  explicit NaiveResult(const AttentionCase& c) : o(c.heads, c.n, c.d_head), dq(o), dk(o), dv(o), dq_terms(o) {}
};

Dense features_of(const NaiveMap& map, const Dense& x) {
  Dense f(x.heads, x.n, x.d * map.copies);
  for (int64_t head = 0; head < x.heads; ++head) {
    for (int64_t i = 0; i < x.n; ++i) {
      for (int64_t r = 0; r < f.d; ++r) f.at(head, i, r) = map.value(i, r / x.d, x.at(head, i, r % x.d));
    }
  }
  return f;
}

void features_gradient(const NaiveMap& map, const Dense& x, const Dense& df, Dense& dx) {
  for (int64_t head = 0; head < x.heads; ++head) {
    for (int64_t i = 0; i < x.n; ++i) {
      for (int64_t r = 0; r < df.d; ++r) {
        dx.at(head, i, r % x.d) += df.at(head, i, r) * map.slope(i, r / x.d, x.at(head, i, r % x.d));
      }
    }
  }
}

/// Adds what query i of a head contributes to everything, by its explicit weights f_i g_j / norm.
void naive_row(const AttentionCase& c, const LinearAttentionParams& params, int64_t head, int64_t i, const Dense& f,
               const Dense& g, const Dense& v, const Dense& output_gradient, NaiveResult& result, Dense& df,
               Dense& df_terms, Dense& dg) {
  const int64_t visible = c.causal ? i + 1 : c.n;
  std::vector<double> similarity(static_cast<size_t>(visible), 0.0);
  double denominator = 0;
  for (int64_t j = 0; j < visible; ++j) {
    double& sum = similarity[static_cast<size_t>(j)];
    for (int64_t r = 0; r < f.d; ++r) sum += f.at(head, i, r) * g.at(head, j, r);
    denominator += sum;
  }
  const bool clamps = params.normalizer == Normalizer::clamp_min && denominator < params.epsilon;
  const double norm =
      params.normalizer == Normalizer::clamp_min ? std::max(denominator, params.epsilon) : denominator + params.epsilon;
  double output_dot = 0;
  for (int64_t j = 0; j < visible; ++j) {
    const double weight = similarity[static_cast<size_t>(j)] / norm;
    for (int64_t a = 0; a < v.d; ++a) result.o.at(head, i, a) += weight * v.at(head, j, a);
  }
  for (int64_t a = 0; a < v.d; ++a) output_dot += output_gradient.at(head, i, a) * result.o.at(head, i, a);
  for (int64_t j = 0; j < visible; ++j) {
    double value_dot = 0;
    for (int64_t a = 0; a < v.d; ++a) {
      value_dot += output_gradient.at(head, i, a) * v.at(head, j, a);
      result.dv.at(head, j, a) += similarity[static_cast<size_t>(j)] / norm * output_gradient.at(head, i, a);
    }
    const double gradient = (value_dot - (clamps ? 0.0 : output_dot)) / norm;
    for (int64_t r = 0; r < f.d; ++r) {
      df.at(head, i, r) += gradient * g.at(head, j, r);
      df_terms.at(head, i, r) += (std::abs(value_dot) + std::abs(output_dot)) / norm * g.at(head, j, r);
      dg.at(head, j, r) += gradient * f.at(head, i, r);
    }
  }
}

NaiveResult naive(const AttentionCase& c, const LinearAttentionParams& params, const NaiveMap& map, AttentionRun& run) {
  NaiveResult result(c);
  const Dense q = run.q.dense(), k = run.k.dense(), v = run.v.dense(), output_gradient = run.output_gradient.dense();
  const Dense f = features_of(map, q);
  Dense g = features_of(map, k);
  Dense df(c.heads, c.n, f.d), df_terms(df), dg(df);
  const auto mask_rows = [&](Dense& x) {
    for (int64_t head = 0; head < c.heads; ++head) {
      for (int64_t j = 0; j < c.n; ++j) {
        for (int64_t r = 0; r < x.d; ++r) x.at(head, j, r) *= double{run.mask[static_cast<size_t>(j)]};
      }
    }
  };
  mask_rows(g);
  for (int64_t head = 0; head < c.heads; ++head) {
    for (int64_t i = 0; i < c.n; ++i) naive_row(c, params, head, i, f, g, v, output_gradient, result, df, df_terms, dg);
  }
  mask_rows(dg);
  features_gradient(map, q, df, result.dq);
  features_gradient(map, q, df_terms, result.dq_terms);
  features_gradient(map, k, dg, result.dk);
  return result;
}

struct Mechanism {
  LinearAttentionParams params;
  NaiveMap map;
};

Mechanism elu(const AttentionCase& c) {
  return {{.feature_map = elu_plus_one_features(), .epsilon = 1e-6, .causal = c.causal}, naive_elu()};
}

Mechanism cosine(const AttentionCase& c) {
  const int64_t nominal = c.n + 5;
  return {{.feature_map = cosine_features(nominal),
           .normalizer = Normalizer::clamp_min,
           .epsilon = 1e-6,
           .causal = c.causal},
          naive_cosine(nominal)};
}

void execute(const AttentionCase& c, const LinearAttentionParams& params, AttentionRun& run) {
  run.execute(c, {}, [&](Var q, Var k, Var v, Var mask) { return fused_linear_attention(q, k, v, mask, params); });
}

void expect_matches(const AttentionCase& c, const Mechanism& mechanism, AttentionRun& run) {
  execute(c, mechanism.params, run);
  const NaiveResult want = naive(c, mechanism.params, mechanism.map, run);
  testing::expect_close(run.o, want.o, "o");
  testing::expect_close(run.dq, want.dq, "dq", &want.dq_terms);
  testing::expect_close(run.dk, want.dk, "dk");
  testing::expect_close(run.dv, want.dv, "dv");
}

class LinearAttentionTest : public ::testing::TestWithParam<AttentionCase> {
 protected:
  void SetUp() override { onednn::use_calling_thread_only(); }
};

TEST_P(LinearAttentionTest, EluMatchesExplicitWeights) {
  AttentionRun run(GetParam());
  expect_matches(GetParam(), elu(GetParam()), run);
}

TEST_P(LinearAttentionTest, CosineMatchesExplicitWeights) {
  AttentionRun run(GetParam());
  expect_matches(GetParam(), cosine(GetParam()), run);
}

TEST_P(LinearAttentionTest, MaskedKeysGetExactlyZeroGradient) {
  const AttentionCase c = GetParam();
  AttentionRun run(c);
  execute(c, elu(c).params, run);
  for (int64_t head = 0; head < c.heads; ++head) {
    for (int64_t j = 0; j < c.n; ++j) {
      if (run.mask[static_cast<size_t>(j)] != 0.0F) continue;
      for (int64_t a = 0; a < c.d_head; ++a) {
        ASSERT_EQ(run.dk.at(head, j, a), 0.0F);
        ASSERT_EQ(run.dv.at(head, j, a), 0.0F);
      }
    }
  }
}

std::vector<AttentionCase> cases() {
  std::vector<AttentionCase> list;
  for (const bool causal : {false, true}) {
    for (const int64_t n : {1, 2, 63, 100, 257}) {
      list.push_back({.heads = 2, .n = n, .d_head = 16, .causal = causal, .mask = MaskKind::tail, .strided = true});
      list.push_back({.heads = 1, .n = n, .d_head = 5, .causal = causal});
    }
    for (const int64_t d_head : {4, 32, 64}) {
      list.push_back({.heads = 3, .n = 100, .d_head = d_head, .causal = causal, .mask = MaskKind::random});
    }
    list.push_back({.n = 64, .causal = causal, .mask = MaskKind::all});
    list.push_back({.n = 1000, .d_head = 32, .causal = causal, .mask = MaskKind::random, .strided = true});
  }
  return list;
}

INSTANTIATE_TEST_SUITE_P(Cases, LinearAttentionTest, ::testing::ValuesIn(cases()));

TEST(LinearAttentionClampTest, DeadQueriesReadNothingAndPassNoGradientToTheDenominator) {
  for (const bool causal : {false, true}) {
    const AttentionCase c{.n = 70, .causal = causal};
    AttentionRun run(c);
    // Row 3 is dead, row 5 nearly: its denominator lies below epsilon, its numerator does not vanish.
    for (int64_t a = 0; a < c.d_head; ++a) {
      run.q.at(0, 3, a) = -1.0F;
      run.q.at(0, 5, a) = a == 0 ? 1e-9F : -1.0F;
    }
    expect_matches(c, cosine(c), run);
    for (int64_t a = 0; a < c.d_head; ++a) EXPECT_EQ(run.o.at(0, 3, a), 0.0F);
  }
}

TEST(LinearAttentionThreadsTest, WorkersAtOnceGetTheBitsOfOne) {
  for (const bool causal : {false, true}) {
    const AttentionCase c{.n = 600, .d_head = 32, .causal = causal, .mask = MaskKind::random, .strided = true};
    AttentionRun alone(c);
    execute(c, elu(c).params, alone);
    std::vector<int> differences(2, 0);
    {
      std::vector<std::jthread> threads;
      for (int& different : differences) {
        threads.emplace_back([&] {
          onednn::use_calling_thread_only();
          for (int repeat = 0; repeat < 10; ++repeat) {
            AttentionRun run(c);
            execute(c, elu(c).params, run);
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
}

TEST(LinearAttentionErrorsTest, RefusesWhatItCannotDo) {
  Parameters parameters;
  Graph graph(Dtype::f32, Kernels::fused, parameters);
  const Var q = graph.input("q", {Dtype::f32, {2, 9, 4}});
  const Var short_k = graph.input("k", {Dtype::f32, {2, 8, 4}});
  const Var mask = graph.input("mask", {Dtype::f32, {9}});
  EXPECT_THROW(fused_linear_attention(q, short_k, q, mask, {.feature_map = elu_plus_one_features()}), UsageError);
  EXPECT_THROW(fused_linear_attention(q, q, q, mask, {.feature_map = cosine_features(8)}), UsageError);
  const Var places = graph.input("positions", {Dtype::i32, {9}}), few = graph.input("few", {Dtype::i32, {8}});
  EXPECT_THROW(fused_linear_attention(q, q, q, mask, {.feature_map = cosine_features(9)}, few), UsageError);
  EXPECT_THROW(fused_linear_attention(q, q, q, mask, {.feature_map = cosine_features(9)}, mask), UsageError);
  EXPECT_TRUE(fused_linear_attention(q, q, q, mask, {.feature_map = cosine_features(9)}, places).shape() == q.shape());
  const Var o = fused_linear_attention(q, q, q, mask, {.feature_map = cosine_features(9)});
  EXPECT_TRUE(o.shape() == q.shape());
}

}  // namespace
}  // namespace lra::engine
