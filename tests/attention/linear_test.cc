// Linear attention (elu + 1): its definition, its rows, its causal form.
#include <gtest/gtest.h>

#include "tests/attention/naive_attention.h"

namespace lra::attention::testing {
namespace {

Naive naive_linear(const AttendRequest& request) {
  return naive_similarity(request, {.phi = [](double x) { return x > 0 ? x + 1 : std::exp(x); },
                                    .slope = [](double x) { return x > 0 ? 1.0 : std::exp(x); }});
}

TEST(LinearAttentionTest, EqualsTheQuadraticDefinitionWithGradients) { expect_definition("linear", naive_linear); }

TEST(LinearAttentionTest, CausalEqualsRecomputationOfEveryPrefix) { expect_causal_equals_prefixes("linear"); }

TEST(LinearAttentionTest, RowsSumToOneUpToEpsilon) {
  for (const bool fused : {false, true})
    for (const bool causal : {false, true}) {
      AttendRequest request = request_of("linear", 33, "tail", causal);
      request.dtype = fused ? engine::Dtype::f32 : engine::Dtype::f64;
      request.kernels = fused ? engine::Kernels::fused : engine::Kernels::plain;
      request.arguments[2].values.assign(request.arguments[2].values.size(), 3.0);
      for (const double o : harness::attend(request).output.values) EXPECT_NEAR(o, 3, fused ? 1e-5 : 1e-6);
    }
}

TEST(LinearAttentionTest, TheNominalLengthDoesNotMatter) {
  AttendRequest request = request_of("linear", 20, "none", false);
  const AttendResult expected = harness::attend(request);
  request.nominal_length = 500;
  EXPECT_EQ(harness::attend(request).output.values, expected.output.values);
}

TEST(LinearAttentionTest, EpsilonIsAddedToTheDenominator) {
  AttendRequest request = request_of("linear", 5, "none", false);
  request.parameters["epsilon"] = 0.5;
  Similarity similarity{.phi = [](double x) { return x > 0 ? x + 1 : std::exp(x); },
                        .slope = [](double x) { return x > 0 ? 1.0 : std::exp(x); },
                        .epsilon = 0.5};
  expect_equal(harness::attend(request), naive_similarity(request, similarity), 1e-12);
}

}  // namespace
}  // namespace lra::attention::testing
