// cosFormer: its definition with the cosine spelled out, the clamp, the nominal length, its causal form.
#include <gtest/gtest.h>

#include <numbers>

#include "engine/errors.h"
#include "tests/attention/naive_attention.h"

namespace lra::attention::testing {
namespace {

/// relu(q_i) . relu(k_j) cos(pi (i - j) / 2M): no features, no sines.
Similarity cosine_similarity(double nominal_length) {
  return {.phi = [](double x) { return std::max(x, 0.0); },
          .slope = [](double x) { return x > 0 ? 1.0 : 0.0; },
          .factor =
              [=](int64_t distance) {
                return std::cos(std::numbers::pi * static_cast<double>(distance) / (2 * nominal_length));
              },
          .clamps = true};
}

Naive naive_cosformer(const AttendRequest& request) {
  const double m = static_cast<double>(request.nominal_length > 0 ? request.nominal_length : Sizes(request).n);
  return naive_similarity(request, cosine_similarity(m));
}

void use_kernels(AttendRequest& request, bool fused) {
  request.dtype = fused ? engine::Dtype::f32 : engine::Dtype::f64;
  request.kernels = fused ? engine::Kernels::fused : engine::Kernels::plain;
}

TEST(CosFormerTest, EqualsTheQuadraticDefinitionWithGradients) { expect_definition("cosformer", naive_cosformer); }

TEST(CosFormerTest, CausalEqualsRecomputationOfEveryPrefix) { expect_causal_equals_prefixes("cosformer"); }

TEST(CosFormerTest, TheNominalLengthSetsTheAngles) {
  for (const bool causal : {false, true})
    for (const int64_t nominal : {21, 64, 1000}) {
      AttendRequest request = request_of("cosformer", 21, "tail", causal);
      request.nominal_length = nominal;
      expect_equal(harness::attend(request), naive_cosformer(request), 1e-12);
    }
  AttendRequest request = request_of("cosformer", 21, "none", false);
  const std::vector<double> own = harness::attend(request).output.values;
  request.nominal_length = 64;
  EXPECT_GT(distance(harness::attend(request).output.values, own, 1), 1e-3);
}

TEST(CosFormerTest, OnlyDistancesMatterNotWhereTheSequenceStands) {
  // Masked tokens in front shift all positions.
  constexpr int64_t kN = 19, kShift = 13;
  AttendRequest request = request_of("cosformer", kN, "none", false);
  request.nominal_length = 64;
  AttendRequest shifted = request_of("cosformer", kN + kShift, "none", false);
  shifted.nominal_length = 64;
  const Sizes size(request), wide(shifted);
  for (int64_t i = 0; i < kShift; ++i) shifted.mask[static_cast<size_t>(i)] = 0;
  for (size_t argument = 0; argument < 3; ++argument)
    for (int64_t h = 0; h < size.heads; ++h)
      for (int64_t i = 0; i < kN; ++i)
        for (int64_t a = 0; a < size.d; ++a)
          shifted.arguments[argument].values[wide.at(h, i + kShift, a)] =
              request.arguments[argument].values[size.at(h, i, a)];
  for (const bool fused : {false, true}) {
    use_kernels(request, fused);
    use_kernels(shifted, fused);
    const std::vector<double> expected = harness::attend(request).output.values;
    const std::vector<double> got = harness::attend(shifted).output.values;
    for (int64_t h = 0; h < size.heads; ++h)
      for (int64_t i = 0; i < kN; ++i)
        for (int64_t a = 0; a < size.d; ++a)
          EXPECT_NEAR(got[wide.at(h, i + kShift, a)], expected[size.at(h, i, a)], fused ? 2e-5 : 1e-12);
  }
}

TEST(CosFormerTest, ALargeNominalLengthApproachesReluLinearAttention) {
  AttendRequest request = request_of("cosformer", 31, "tail", false);
  request.nominal_length = 10'000'000;
  Similarity relu = cosine_similarity(1);
  relu.factor = [](int64_t) { return 1.0; };
  expect_equal(harness::attend(request), naive_similarity(request, relu), 1e-9);
}

TEST(CosFormerTest, AQueryWithoutPositiveFeaturesGivesZeroAndNoGradient) {
  for (const bool fused : {false, true})
    for (const bool causal : {false, true}) {
      AttendRequest request = request_of("cosformer", 35, "none", causal);
      use_kernels(request, fused);
      request.arguments[0].values.assign(request.arguments[0].values.size(), -1.0);
      const AttendResult result = harness::attend(request);
      for (const double o : result.output.values) EXPECT_EQ(o, 0);
      for (const harness::HostArray& gradient : result.gradients)
        for (const double element : gradient.values) EXPECT_EQ(element, 0);
    }
}

TEST(CosFormerTest, ADeadRowAmongOthersIsZeroAndTheOthersAreUntouched) {
  for (const bool fused : {false, true}) {
    AttendRequest request = request_of("cosformer", 35, "none", false);
    const Sizes size(request);
    for (int64_t a = 0; a < size.d; ++a) request.arguments[0].values[size.at(1, 17, a)] = -1;
    const Naive expected = naive_cosformer(request);
    use_kernels(request, fused);
    const AttendResult result = harness::attend(request);
    expect_equal(result, expected, fused ? 2e-5 : 1e-12);
    for (int64_t a = 0; a < size.d; ++a) {
      EXPECT_EQ(result.output.values[size.at(1, 17, a)], 0);
      EXPECT_EQ(result.gradients[0].values[size.at(1, 17, a)], 0);
    }
  }
}

TEST(CosFormerTest, SmallDenominatorsAreClampedNotShifted) {
  // All similarities are 1e-5 times smaller than epsilon: o = (sum of w v) / epsilon, and the clamp passes no gradient.
  for (const bool causal : {false, true}) {
    AttendRequest request = request_of("cosformer", 9, "none", causal);
    for (const size_t argument : {0, 1})
      for (double& value : request.arguments[argument].values) value *= 1e-6;
    const AttendResult got = harness::attend(request);
    const Naive expected = naive_cosformer(request);
    EXPECT_LE(distance(got.output.values, expected.o, 0), 1e-12);
    EXPECT_LE(distance(got.gradients[0].values, expected.dq, 0), 1e-12);
    EXPECT_LE(distance(got.gradients[1].values, expected.dk, 0), 1e-12);
  }
}

TEST(CosFormerTest, TheOrderOfTheFeaturesDoesNotMatter) {
  AttendRequest request = request_of("cosformer", 15, "tail", false);
  const std::vector<double> expected = harness::attend(request).output.values;
  const Sizes size(request);
  for (const size_t argument : {0, 1})
    for (int64_t h = 0; h < size.heads; ++h)
      for (int64_t i = 0; i < size.n; ++i) {
        double* row = request.arguments[argument].values.data() + size.at(h, i, 0);
        std::reverse(row, row + size.d);
      }
  EXPECT_LE(distance(harness::attend(request).output.values, expected, 1), 1e-12);
}

TEST(CosFormerTest, RefusesAnEpsilonThatCannotKeepTheDenominatorFromZero) {
  AttendRequest request = request_of("cosformer", 5, "none", false);
  request.parameters["epsilon"] = 0.0;
  EXPECT_THROW(harness::attend(request), UsageError);
  request.parameters["epsilon"] = -1e-6;
  EXPECT_THROW(harness::attend(request), UsageError);
}

}  // namespace
}  // namespace lra::attention::testing
