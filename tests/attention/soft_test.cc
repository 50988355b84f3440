// SOFT: its definition by dense linear algebra, its limit, its landmarks under padding.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/attention/dense_attention.h"
#include "tests/attention/refusal.h"

namespace lra::attention::testing {
namespace {

using harness::AttendRequest;
using harness::AttendResult;
using harness::HostArray;
using ::testing::AllOf;
using ::testing::HasSubstr;

struct Definition {
  int64_t stride = 1;
  double ridge = 0.01;
  bool convolution = false;
  bool symmetric = false;
};

Matrix gaussian(const Matrix& x, const Matrix& y) {
  Matrix kernel(x.rows(), y.rows());
  for (int64_t i = 0; i < x.rows(); ++i)
    for (int64_t j = 0; j < y.rows(); ++j) kernel(i, j) = std::exp(-0.5 * (x.row(i) - y.row(j)).squaredNorm());
  return kernel;
}

/// One landmark of the tokens [begin, begin + real) of x.
Eigen::RowVectorXd landmark(const Definition& definition, const Matrix& x, int64_t begin, int64_t real,
                            const std::map<std::string, HostArray>& parameters) {
  const int64_t d = x.cols();
  if (!definition.convolution) return x.middleRows(begin, real).colwise().sum() / static_cast<double>(real);
  const auto values = [&](const char* name) -> const std::vector<double>& {
    return parameters.at(std::string("attention.landmarks.") + name).values;
  };
  Eigen::RowVectorXd y = Eigen::RowVectorXd::Zero(d);
  for (int64_t t = 0; t < real; ++t)
    for (int64_t a = 0; a < d; ++a)
      for (int64_t b = 0; b < d; ++b)
        y(b) += x(begin + t, a) * values("weight")[static_cast<size_t>((t * d + a) * d + b)];
  const double mean = y.mean(), variance = (y.array() - mean).square().mean();
  for (int64_t b = 0; b < d; ++b) {
    const double z = (y(b) - mean) / std::sqrt(variance + 1e-5) * values("norm.weight")[static_cast<size_t>(b)] +
                     values("norm.bias")[static_cast<size_t>(b)];
    y(b) = 0.5 * z * (1 + std::erf(z / std::sqrt(2.0)));
  }
  return y;
}

/// A head's output by direct inversion, over the real tokens of the request alone.
Matrix definition_of(const Definition& definition, const AttendRequest& request, int64_t head,
                     const std::map<std::string, HostArray>& parameters) {
  const int64_t real = real_tokens(request);
  const Matrix q = head_of(request.arguments[0], head).topRows(real);
  const Matrix x = q * std::pow(static_cast<double>(q.cols()), -0.25);
  const int64_t m = (real + definition.stride - 1) / definition.stride;
  Matrix landmarks(m, q.cols());
  for (int64_t i = 0; i < m; ++i)
    landmarks.row(i) = landmark(definition, x, i * definition.stride,
                                std::min(definition.stride, real - i * definition.stride), parameters);
  const Matrix p1 = gaussian(x, landmarks), p2 = gaussian(landmarks, landmarks);
  Matrix inverse = (p2 + definition.ridge * Matrix::Identity(m, m)).inverse();
  if (definition.symmetric) {
    const Eigen::VectorXd scale = p2.rowwise().sum().array().rsqrt();
    inverse = scale.asDiagonal() * inverse * scale.asDiagonal();
  }
  return p1 * (inverse * (p1.transpose() * head_of(request.arguments[1], head).topRows(real)));
}

/// With the program's number of iterations, which must be enough.
AttendRequest request_with(int64_t n, int64_t real, int64_t num_landmarks, const std::string& landmarks) {
  return dense_request("soft", n, real, {{"num_landmarks", num_landmarks}, {"landmarks", landmarks}});
}

void expect_definition(const AttendRequest& request, const Definition& definition) {
  const AttendResult result = harness::attend(request);
  for (int64_t head = 0; head < 2; ++head)
    expect_head(result, head, definition_of(definition, request, head, result.parameters), real_tokens(request), 1e-10);
}

TEST(SoftTest, EqualsTheDefinitionWithMeansAndWithConvolutions) {
  for (const char* landmarks : {"mean", "convolution"})
    for (const int64_t real : {int64_t{48}, int64_t{41}, int64_t{5}})  // whole segments, part of one, less than one
      expect_definition(request_with(48, real, 6, landmarks),
                        {.stride = 8, .convolution = landmarks == std::string("convolution")});
}

TEST(SoftTest, TheLastSegmentMayBeShort) {
  AttendRequest request = request_with(45, 45, 6, "convolution");
  request.nominal_length = 48;
  expect_definition(request, {.stride = 8, .convolution = true});
}

TEST(SoftTest, SymmetricNormalizationStandsOnBothSidesOfTheInverse) {
  AttendRequest request = request_with(40, 37, 5, "mean");
  request.parameters["normalization"] = std::string("symmetric");
  expect_definition(request, {.stride = 8, .symmetric = true});
}

/// The exact limit: every token its own landmark and no ridge, O = P P^-1 P V = P V, the kernel attention itself.
TEST(SoftTest, EveryTokenALandmarkIsTheWholeKernel) {
  AttendRequest request = request_with(12, 12, 12, "mean");
  request.parameters["ridge"] = 0.0;
  request.parameters["iterations"] = int64_t{60};  // no ridge bounds the condition number
  const AttendResult result = harness::attend(request);
  for (int64_t head = 0; head < 2; ++head) {
    const Matrix x = head_of(request.arguments[0], head) * std::pow(8.0, -0.25);
    expect_head(result, head, gaussian(x, x) * head_of(request.arguments[1], head), 12, 1e-10);
  }
}

TEST(SoftTest, RefusesMoreLandmarksThanTokens) {
  EXPECT_THAT(refusal_of(request_with(7, 7, 64, "mean")),
              HasSubstr("attention.num_landmarks = 64, but sequences have n = 7 tokens"));
}

TEST(SoftTest, RefusesLandmarksThatDoNotDivideTheNominalLength) {
  AttendRequest request = request_with(45, 45, 6, "mean");
  EXPECT_THAT(refusal_of(request),
              AllOf(HasSubstr("[soft] attention.num_landmarks = 6 does not divide the nominal length n = 45"),
                    HasSubstr("from 1 to 45, such as 5 or 9"), HasSubstr("make n a multiple: 48 ")));
  request.nominal_length = 47;
  EXPECT_THAT(refusal_of(request), AllOf(HasSubstr("n = 47"), HasSubstr("such as 1 or 47")));
}

}  // namespace
}  // namespace lra::attention::testing
