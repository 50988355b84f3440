// Nystromformer: its definition by dense linear algebra, its limit, its convolution, its refusals.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/attention/dense_attention.h"
#include "tests/attention/refusal.h"

namespace lra::attention::testing {
namespace {

using harness::AttendRequest;
using harness::AttendResult;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr int64_t kStride = 8;

/// Means of segments of kStride tokens, of all of them or of the real ones.
Matrix landmarks_of(const Matrix& x, int64_t nominal, int64_t real, bool valid) {
  const int64_t m = valid ? (real + kStride - 1) / kStride : (nominal + kStride - 1) / kStride;
  Matrix landmarks = Matrix::Zero(m, x.cols());
  for (int64_t i = 0; i < m; ++i) {
    const int64_t tokens = std::clamp<int64_t>(real - i * kStride, 0, kStride);
    landmarks.row(i) = x.middleRows(std::min(i * kStride, real), tokens).colwise().sum() /
                       static_cast<double>(valid ? tokens : kStride);
  }
  return landmarks;
}

/// Of a head, with the pseudo-inverse by singular values.
Matrix definition(const AttendRequest& request, int64_t head, bool valid) {
  const int64_t real = real_tokens(request), nominal = request.nominal_length;
  const Matrix q = head_of(request.arguments[0], head).topRows(real);
  const Matrix k = head_of(request.arguments[1], head).topRows(real);
  const Matrix v = head_of(request.arguments[2], head).topRows(real);
  const double scale = 1 / std::sqrt(static_cast<double>(q.cols()));
  const Matrix ql = landmarks_of(q, nominal, real, valid), kl = landmarks_of(k, nominal, real, valid);
  const Matrix a = softmax_rows(scale * ql * kl.transpose());
  const Matrix inverse = a.completeOrthogonalDecomposition().pseudoInverse();
  return softmax_rows(scale * q * kl.transpose()) * (inverse * (softmax_rows(scale * ql * k.transpose()) * v));
}

AttendRequest landmark_request(int64_t n, int64_t real, int64_t nominal, const std::string& means, int64_t taps = 0) {
  AttendRequest request = dense_request("nystromformer", n, real,
                                        {{"num_landmarks", nominal / kStride},
                                         {"landmark_means", means},
                                         {"iterations", int64_t{60}},
                                         {"conv_kernel_size", taps}});
  request.nominal_length = nominal;
  return request;
}

TEST(NystromformerTest, EqualsTheDefinitionWithAnExactPseudoInverse) {
  // Whole segments, part of one, landmarks of nothing but pads; at the nominal length and below it.
  for (const auto& [n, real] : {std::pair<int64_t, int64_t>{48, 48}, {48, 45}, {48, 37}, {40, 37}})
    for (const bool valid : {false, true}) {
      // Two landmarks of pads alone are equal, and what inverts them is not found by iterations.
      if (!valid && real <= 40) continue;
      const AttendRequest request = landmark_request(n, real, 48, valid ? "valid" : "segment");
      const AttendResult result = harness::attend(request);
      for (int64_t head = 0; head < 2; ++head) expect_head(result, head, definition(request, head, valid), real, 1e-8);
    }
}

TEST(NystromformerTest, AsManyLandmarksAsTokensAreSoftmax) {
  AttendRequest request =
      dense_request("nystromformer", 33, 29, {{"num_landmarks", int64_t{33}}, {"conv_kernel_size", int64_t{0}}});
  const AttendResult got = harness::attend(request);
  request.attention = "softmax";
  request.parameters = {};
  const AttendResult expected = harness::attend(request);
  for (int64_t head = 0; head < 2; ++head) expect_head(got, head, head_of(expected.output, head), 29, 1e-12);
}

/// The formula itself at its limit: where tokens come in equal pairs, the means of pairs are the tokens, and
/// S S^+ S V = S V.
TEST(NystromformerTest, LandmarksThatAreTheTokensAreSoftmax) {
  AttendRequest request =
      dense_request("nystromformer", 24, 24,
                    {{"num_landmarks", int64_t{12}}, {"iterations", int64_t{60}}, {"conv_kernel_size", int64_t{0}}});
  for (harness::HostArray& argument : request.arguments) {
    const int64_t d = argument.shape[2];
    for (int64_t row = 0; row < 2 * 24; row += 2)
      std::copy_n(argument.values.begin() + row * d, d, argument.values.begin() + (row + 1) * d);
  }
  const AttendResult got = harness::attend(request);
  request.attention = "softmax";
  request.parameters = {};
  const AttendResult expected = harness::attend(request);
  for (int64_t head = 0; head < 2; ++head) expect_head(got, head, head_of(expected.output, head), 24, 1e-10);
}

TEST(NystromformerTest, ConstantValuesComeOutWhereTheInverseHasConverged) {
  AttendRequest request = landmark_request(48, 45, 48, "segment");
  request.arguments[2].values.assign(request.arguments[2].values.size(), 1.5);
  const AttendResult result = harness::attend(request);
  for (int64_t head = 0; head < 2; ++head)
    expect_head(result, head, Matrix::Constant(48, request.arguments[0].shape[2], 1.5), 45, 1e-8);
}

TEST(NystromformerTest, TheConvolutionOfTheValuesIsAdded) {
  const AttendResult without = harness::attend(landmark_request(48, 45, 48, "segment"));
  const AttendRequest request = landmark_request(48, 45, 48, "segment", 5);
  const AttendResult with = harness::attend(request);
  const std::vector<double>& filters = with.parameters.at("attention.conv.weight").values;
  for (int64_t head = 0; head < 2; ++head) {
    Matrix expected = head_of(without.output, head);
    const Matrix v = head_of(request.arguments[2], head);
    for (int64_t i = 0; i < 45; ++i)
      for (int64_t tap = 0; tap < 5; ++tap)
        if (const int64_t from = i + tap - 2; from >= 0 && from < 45)
          expected.row(i) += filters[static_cast<size_t>(head * 5 + tap)] * v.row(from);
    expect_head(with, head, expected, 45, 1e-12);
  }
}

TEST(NystromformerTest, RefusesAConvolutionWithoutAMiddleAndLandmarksThatDoNotFit) {
  EXPECT_THAT(refusal_of(landmark_request(48, 48, 48, "segment", 4)),
              HasSubstr("attention.conv_kernel_size = 4 is even"));
  AttendRequest many = landmark_request(48, 48, 48, "segment");
  many.parameters["num_landmarks"] = int64_t{49};
  EXPECT_THAT(refusal_of(many), HasSubstr("attention.num_landmarks = 49, but sequences have n = 48 tokens"));
  many.parameters["num_landmarks"] = int64_t{13};
  EXPECT_THAT(refusal_of(many),
              AllOf(HasSubstr("attention.num_landmarks = 13 does not divide the nominal length n = 48"),
                    HasSubstr("from 1 to 48, such as 12 or 16")));
}

}  // namespace
}  // namespace lra::attention::testing
