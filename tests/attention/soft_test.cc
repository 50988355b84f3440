// SOFT: its definition by dense linear algebra, its limit, its landmarks under padding.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <Eigen/Dense>

#include "engine/errors.h"
#include "harness/attend.h"
#include "harness/contract.h"

namespace lra::attention::testing {
namespace {

using harness::AttendRequest;
using harness::AttendResult;
using harness::HostArray;
using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

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

/// The output by direct inversion, over the real tokens of the request alone.
std::vector<double> definition_of(const Definition& definition, const AttendRequest& request,
                                  const std::map<std::string, HostArray>& parameters) {
  const HostArray &q = request.arguments[0], &v = request.arguments[1];
  const int64_t h = q.shape[0], n = q.shape[1], d = q.shape[2];
  const auto real = static_cast<int64_t>(std::count(request.mask.begin(), request.mask.end(), 1.0));
  std::vector<double> output(q.values.size(), 0.0);
  for (int64_t head = 0; head < h; ++head) {
    const auto rows = [&](const HostArray& array) {
      return Matrix(Eigen::Map<const Matrix>(array.values.data() + head * n * d, n, d).topRows(real));
    };
    const Matrix x = rows(q) * std::pow(static_cast<double>(d), -0.25);
    const int64_t m = (real + definition.stride - 1) / definition.stride;
    Matrix landmarks(m, d);
    for (int64_t i = 0; i < m; ++i)
      landmarks.row(i) = landmark(definition, x, i * definition.stride,
                                  std::min(definition.stride, real - i * definition.stride), parameters);
    const Matrix p1 = gaussian(x, landmarks), p2 = gaussian(landmarks, landmarks);
    Matrix inverse = (p2 + definition.ridge * Matrix::Identity(m, m)).inverse();
    if (definition.symmetric) {
      const Eigen::VectorXd scale = p2.rowwise().sum().array().rsqrt();
      inverse = scale.asDiagonal() * inverse * scale.asDiagonal();
    }
    Eigen::Map<Matrix>(output.data() + head * n * d, n, d).topRows(real) = p1 * (inverse * (p1.transpose() * rows(v)));
  }
  return output;
}

/// A request in f64 that iterates until nothing changes.
AttendRequest request_of(int64_t n, int64_t real, int64_t num_landmarks, const std::string& landmarks) {
  AttendRequest request = harness::random_request("soft", n, real, 3);
  request.dtype = engine::Dtype::f64;
  request.kernels = engine::Kernels::plain;
  request.parameters = {{"num_landmarks", num_landmarks}, {"landmarks", landmarks}, {"iterations", int64_t{60}}};
  return request;
}

void expect_definition(const AttendRequest& request, const Definition& definition) {
  const AttendResult result = harness::attend(request);
  const std::vector<double> expected = definition_of(definition, request, result.parameters);
  const int64_t n = request.arguments[0].shape[1], d = request.arguments[0].shape[2];
  for (size_t i = 0; i < expected.size(); ++i) {
    const bool real = request.mask[i / static_cast<size_t>(d) % static_cast<size_t>(n)] != 0;
    if (real) {
      ASSERT_NEAR(result.output.values[i], expected[i], 1e-10) << "element " << i;
    }
  }
}

TEST(SoftTest, EqualsTheDefinitionWithMeansAndWithConvolutions) {
  for (const char* landmarks : {"mean", "convolution"})
    for (const int64_t real : {int64_t{48}, int64_t{41}, int64_t{5}})  // whole segments, part of one, less than one
      expect_definition(request_of(48, real, 6, landmarks),
                        {.stride = 8, .convolution = landmarks == std::string("convolution")});
}

TEST(SoftTest, TheLastSegmentMayBeShort) {
  expect_definition(request_of(45, 45, 6, "convolution"), {.stride = 8, .convolution = true});
}

TEST(SoftTest, SymmetricNormalizationStandsOnBothSidesOfTheInverse) {
  AttendRequest request = request_of(40, 37, 5, "mean");
  request.parameters["normalization"] = std::string("symmetric");
  expect_definition(request, {.stride = 8, .symmetric = true});
}

/// The exact limit: every token its own landmark and no ridge, O = P P^-1 P V = P V, the kernel attention itself.
TEST(SoftTest, EveryTokenALandmarkIsTheWholeKernel) {
  AttendRequest request = request_of(12, 12, 12, "mean");
  request.parameters["ridge"] = 0.0;
  const AttendResult result = harness::attend(request);
  for (int64_t head = 0; head < 2; ++head) {
    const int64_t n = 12, d = request.arguments[0].shape[2];
    const auto rows = [&](const HostArray& array) {
      return Matrix(Eigen::Map<const Matrix>(array.values.data() + head * n * d, n, d));
    };
    const Matrix x = rows(request.arguments[0]) * std::pow(static_cast<double>(d), -0.25);
    const Matrix expected = gaussian(x, x) * rows(request.arguments[1]);
    EXPECT_LE((rows(result.output) - expected).cwiseAbs().maxCoeff(), 1e-10);
  }
}

TEST(SoftTest, RefusesMoreLandmarksThanTokens) {
  try {
    harness::attend(request_of(7, 7, 64, "mean"));
    FAIL() << "was accepted";
  } catch (const UsageError& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr("attention.num_landmarks = 64, but sequences have n = 7 tokens"));
  }
}

}  // namespace
}  // namespace lra::attention::testing
