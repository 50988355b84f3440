// Plans that several threads run together: the bits of one thread, whatever is masked, however long or wide.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "engine/ops/activations.h"
#include "engine/ops/feature_maps.h"
#include "engine/ops/linear_attention.h"
#include "engine/ops/matmul.h"
#include "engine/ops/softmax_attention.h"
#include "tests/engine/plan_testing.h"

namespace lra::engine::testing {
namespace {

struct MaskCase {
  std::string name;
  std::function<bool(int64_t key, int64_t n)> kept;
};

const std::vector<MaskCase>& masks() {
  static const std::vector<MaskCase> cases = {
      {"none", [](int64_t, int64_t) { return true; }},
      {"first", [](int64_t j, int64_t) { return j >= 250; }},  // more than a tile of keys
      {"middle", [](int64_t j, int64_t) { return j < 150 || j >= 450; }},
      {"last", [](int64_t j, int64_t n) { return j < n - 250; }},
      {"all", [](int64_t, int64_t) { return false; }},
      {"odd", [](int64_t j, int64_t) { return j % 2 == 0; }},
  };
  return cases;
}

/// q, k, v: [heads, n, d] and the mask.
std::vector<Array> attention_arguments(int64_t heads, int64_t n, int64_t d, const MaskCase& mask) {
  std::vector<Array> arguments;
  for (const char* name : {"q", "k", "v"}) arguments.push_back(normal_array({heads, n, d}, name));
  Array kept{.shape = {n}};
  for (int64_t j = 0; j < n; ++j) kept.values.push_back(mask.kept(j, n) ? 1.0 : 0.0);
  arguments.push_back(kept);
  return arguments;
}

bool all_finite(const Values& values) {
  return std::all_of(values.begin(), values.end(), [](const std::vector<double>& array) {
    return std::all_of(array.begin(), array.end(), [](double x) { return std::isfinite(x); });
  });
}

void expect_same_bits(const Builder& build, const std::vector<Array>& arguments) {
  Planned planned(build, arguments, true, {Dtype::f32, Kernels::fused, false});
  EXPECT_TRUE(planned.plan().is_divisible());
  const Values alone = planned.run(arguments);
  EXPECT_TRUE(all_finite(alone));
  for (const int members : {2, 3, 5}) EXPECT_EQ(planned.run(arguments, members), alone) << members << " members";
}

TEST(TeamPlansTest, SoftmaxAttentionIsTheSameForAnyTeam) {
  struct Size {
    int64_t heads, n, d;
  };
  const std::vector<Size> sizes = {{1, 1, 8}, {1, 100, 20}, {3, 700, 8}, {2, 601, 40}};
  for (const bool causal : {false, true})
    for (const MaskCase& mask : masks())
      for (const Size& size : sizes) {
        SCOPED_TRACE(
            fmt::format("{} masked, causal {}, heads {}, n {}, d {}", mask.name, causal, size.heads, size.n, size.d));
        const SoftmaxAttentionParams params{.scale = 0.3, .causal = causal, .dropout = 0.2, .dropout_site = 5};
        expect_same_bits(
            [&](std::span<const Var> in) {
              return std::vector<Var>{fused_softmax_attention(in[0], in[1], in[2], in[3], params)};
            },
            attention_arguments(size.heads, size.n, size.d, mask));
      }
}

TEST(TeamPlansTest, CausalLinearAttentionIsTheSameForAnyTeam) {
  for (const MaskCase& mask : masks()) {
    SCOPED_TRACE(mask.name);
    const LinearAttentionParams params{.feature_map = elu_plus_one_features(), .epsilon = 1e-6, .causal = true};
    expect_same_bits(
        [&](std::span<const Var> in) {
          return std::vector<Var>{fused_linear_attention(in[0], in[1], in[2], in[3], params)};
        },
        attention_arguments(3, 601, 8, mask));
  }
}

/// Two layers of `width` columns: their weights' gradients are sums over all rows.
Values layers(int64_t n, int64_t width, int members, int64_t expected_group_rows) {
  const Builder build = [](std::span<const Var> in) {
    return std::vector<Var>{linear(gelu(linear(in[0], in[1], in[2]), Gelu::erf), in[3], in[4])};
  };
  const std::vector<Array> arguments = {normal_array({n, width}, "x"), normal_array({width, width}, "w1"),
                                        normal_array({width}, "b1"), normal_array({width, width}, "w2"),
                                        normal_array({width}, "b2")};
  Planned planned(build, arguments, true, {Dtype::f32, Kernels::fused, true});
  for (size_t i = 0; i < planned.plan().steps(); ++i) {
    const Step& step = planned.plan().step(i);
    EXPECT_EQ(step.group_rows, step.rows > 0 ? expected_group_rows : 0);
  }
  return planned.run(arguments, members);
}

TEST(TeamPlansTest, LongSequencesHaveAtMostSixteenGroups) {
  const int64_t n = PipelineGroups::kMost * PipelineGroups::kFewestRows + 500;
  const int64_t group_rows = PipelineGroups::kFewestRows + kPipelineRows;
  const Values alone = layers(n, 6, 1, group_rows);
  for (const int members : {2, 5}) EXPECT_EQ(layers(n, 6, members, group_rows), alone) << members << " members";
}

TEST(TeamPlansTest, LargeSumsAreAddedLessOften) {
  const int64_t n = PipelineGroups::kFewestRowsLarge + 300, width = 200;  // 160 kB of weights
  const Values alone = layers(n, width, 1, PipelineGroups::kFewestRowsLarge);
  EXPECT_EQ(layers(n, width, 2, PipelineGroups::kFewestRowsLarge), alone);
}

}  // namespace
}  // namespace lra::engine::testing
