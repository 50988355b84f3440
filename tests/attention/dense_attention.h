// Heads of a request as dense matrices, for definitions written with linear algebra.
#pragma once

#include <gtest/gtest.h>

#include <Eigen/Dense>
#include <algorithm>
#include <vector>

#include "harness/attend.h"
#include "harness/contract.h"

namespace lra::attention::testing {

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// One head of an [h, rows, columns] array.
inline Matrix head_of(const harness::HostArray& array, int64_t head) {
  const int64_t rows = array.shape[-2], columns = array.shape[-1];
  return Eigen::Map<const Matrix>(array.values.data() + head * rows * columns, rows, columns);
}

/// A random problem in f64 with plain kernels.
inline harness::AttendRequest dense_request(const std::string& attention, int64_t n, int64_t real,
                                            ParameterValues parameters) {
  harness::AttendRequest request = harness::random_request(attention, n, real, 3);
  request.dtype = engine::Dtype::f64;
  request.kernels = engine::Kernels::plain;
  request.parameters = std::move(parameters);
  return request;
}

inline int64_t real_tokens(const harness::AttendRequest& request) {
  return std::count(request.mask.begin(), request.mask.end(), 1.0);
}

/// Softmax of each row.
inline Matrix softmax_rows(const Matrix& logits) {
  Matrix weights = (logits.colwise() - logits.rowwise().maxCoeff()).array().exp();
  return weights.array().colwise() / weights.rowwise().sum().array();
}

/// Expects the output's real rows of a head to be these: [rows >= real, d].
inline void expect_head(const harness::AttendResult& result, int64_t head, const Matrix& expected, int64_t real,
                        double tolerance) {
  const Matrix got = head_of(result.output, head);
  EXPECT_LE((got.topRows(real) - expected.topRows(real)).cwiseAbs().maxCoeff(), tolerance) << "head " << head;
}

}  // namespace lra::attention::testing
