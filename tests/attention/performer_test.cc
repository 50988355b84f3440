// Performer: its error against softmax, its directions, its ReLU forms by their definition.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "attention/registry.h"
#include "engine/ops/random_features.h"
#include "tests/attention/dense_attention.h"
#include "tests/attention/naive_attention.h"
#include "tests/attention/refusal.h"

namespace lra::attention::testing {
namespace {

using harness::AttendRequest;
using harness::AttendResult;

/// Root of the mean squared error against softmax, over seeds.
double error_of(int64_t num_features, bool orthogonal) {
  constexpr int kSeeds = 24;
  double squares = 0;
  int64_t count = 0;
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    AttendRequest request =
        dense_request("performer", 24, 20, {{"num_features", num_features}, {"orthogonal", orthogonal}});
    request.output_gradient.clear();
    request.seed = seed;
    // Small enough for the variance, which grows with e^|q + k|^2, to be that of many draws and not of a few large
    // ones.
    for (const size_t argument : {size_t{0}, size_t{1}})
      for (double& value : request.arguments[argument].values) value *= 0.3;
    AttendRequest softmax = request;
    softmax.attention = "softmax";
    softmax.parameters = {};
    const AttendResult got = harness::attend(request), expected = harness::attend(softmax);
    for (int64_t head = 0; head < 2; ++head) {
      const Matrix difference = head_of(got.output, head).topRows(20) - head_of(expected.output, head).topRows(20);
      squares += difference.squaredNorm();
      count += difference.size();
    }
  }
  return std::sqrt(squares / static_cast<double>(count));
}

TEST(PerformerTest, ErrorAgainstSoftmaxFallsAsTheRootOfTheNumberOfFeatures) {
  for (const bool orthogonal : {true, false}) {
    const double few = error_of(64, orthogonal), many = error_of(4096, orthogonal);
    RecordProperty(orthogonal ? "orthogonal_64" : "independent_64", std::to_string(few));
    RecordProperty(orthogonal ? "orthogonal_4096" : "independent_4096", std::to_string(many));
    EXPECT_LT(many, 0.05);
    // 64 times the features: an eighth of the error.
    EXPECT_NEAR(std::log(few / many) / std::log(64.0), 0.5, 0.1) << few << " " << many;
  }
}

TEST(PerformerTest, OrthogonalDirectionsAreOrthogonalAndAsLongAsOthers) {
  constexpr int64_t kM = 40, kD = 16;
  const std::vector<double> rows = engine::random_directions(1, 2, 0, kM, kD, true);
  const Matrix w = Eigen::Map<const Matrix>(rows.data(), kM, kD);
  for (int64_t i = 0; i < kM; ++i)
    for (int64_t j = 0; j < i; ++j)
      if (i / kD == j / kD) {
        EXPECT_NEAR(w.row(i).dot(w.row(j)), 0, 1e-12);
      }
  const std::vector<double> many = engine::random_directions(1, 2, 0, 4096, kD, true);
  EXPECT_NEAR(Eigen::Map<const Matrix>(many.data(), 4096, kD).squaredNorm() / 4096, kD, 0.03 * kD);
  EXPECT_NE(rows, engine::random_directions(1, 2, 1, kM, kD, true));
  EXPECT_NE(rows, engine::random_directions(2, 2, 0, kM, kD, true));
  EXPECT_EQ(rows, engine::random_directions(1, 2, 0, kM, kD, true));
}

TEST(PerformerTest, RedrawnDirectionsBeginWithTheFixedOnesAndKeepTheContract) {
  AttendRequest request = dense_request("performer", 20, 17, {});
  const AttendResult fixed = harness::attend(request);
  request.parameters["redraw_steps"] = int64_t{5};
  EXPECT_EQ(harness::attend(request).output.values, fixed.output.values);
  for (const harness::Finding& finding : harness::check_contract("performer", {{"redraw_steps", int64_t{1}}}))
    EXPECT_TRUE(finding.passed) << finding.check << ": " << finding.detail;
}

TEST(PerformerTest, CausalEqualsRecomputationOfEveryPrefix) { expect_causal_equals_prefixes("performer"); }

TEST(PerformerTest, CausalKeysThatDifferWidelyInLengthLoseNothing) {
  // The largest exponent is of a late key: what earlier rows see may not suffer from it.
  AttendRequest request = dense_request("performer", 70, 70, {});
  request.causal = true;
  request.output_gradient.clear();
  for (int64_t head = 0; head < 2; ++head)
    for (int64_t a = 0; a < request.arguments[1].shape[2]; ++a)
      request.arguments[1].values[static_cast<size_t>((head * 70 + 69) * request.arguments[1].shape[2] + a)] *= 8;
  const AttendResult exact = harness::attend(request);
  request.dtype = engine::Dtype::f32;
  request.kernels = engine::Kernels::fused;
  const AttendResult single = harness::attend(request);
  for (int64_t head = 0; head < 2; ++head)
    EXPECT_LT((head_of(single.output, head) - head_of(exact.output, head)).cwiseAbs().maxCoeff(),
              2e-5 * head_of(exact.output, head).cwiseAbs().maxCoeff());
}

TEST(PerformerTest, ReluFeaturesAreTheirDefinition) {
  const AttendRequest request = dense_request("performer", 20, 17, {{"kernel", std::string("relu_direct")}});
  const AttendResult result = harness::attend(request);
  for (int64_t head = 0; head < 2; ++head) {
    const auto features = [&](size_t argument) {
      return Matrix((head_of(request.arguments[argument], head).topRows(17).array().max(0) + 1e-3).matrix());
    };
    Matrix weights = features(0) * features(1).transpose();
    weights = weights.array().colwise() / weights.rowwise().sum().array();
    expect_head(result, head, weights * head_of(request.arguments[2], head).topRows(17), 17, 1e-12);
  }
}

/// Exponents far beyond what single precision can hold: |x|^2 / 2 of some hundreds.
TEST(PerformerTest, LargeQueriesAndKeysStayFinite) {
  AttendRequest request = dense_request("performer", 50, 50, {});
  for (size_t argument : {size_t{0}, size_t{1}})
    for (double& value : request.arguments[argument].values) value *= 12;
  request.dtype = engine::Dtype::f32;
  request.kernels = engine::Kernels::fused;
  const AttendResult result = harness::attend(request);
  for (const double value : result.output.values) ASSERT_TRUE(std::isfinite(value));
  for (const auto& gradient : result.gradients)
    for (const double value : gradient.values) ASSERT_TRUE(std::isfinite(value));
}

TEST(PerformerTest, RefusesNoFeatures) {
  EXPECT_THAT(refusal_of(dense_request("performer", 8, 8, {{"num_features", int64_t{0}}})),
              ::testing::HasSubstr("attention.num_features = 0 is outside 1..65536 features"));
}

}  // namespace
}  // namespace lra::attention::testing
