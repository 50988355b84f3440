// Attention by its O(n^2) definition, in loops over numbers: values and hand-derived gradients.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "harness/attend.h"
#include "harness/contract.h"

namespace lra::attention::testing {

using harness::AttendRequest;
using harness::AttendResult;

/// What a definition gives: o, dq, dk, dv, all [h, n, d_head].
struct Naive {
  std::vector<double> o, dq, dk, dv;
};

/// Sizes and element access of a request of q, k and v.
struct Sizes {
  explicit Sizes(const AttendRequest& request)
      : heads(request.arguments[0].shape[0]), n(request.arguments[0].shape[1]), d(request.arguments[0].shape[2]) {}
  size_t at(int64_t head, int64_t row, int64_t column) const {
    return static_cast<size_t>((head * n + row) * d + column);
  }
  size_t elements() const { return static_cast<size_t>(heads * n * d); }
  int64_t heads, n, d;
};

inline bool is_real(const AttendRequest& request, int64_t j) {
  return request.mask.empty() || request.mask[static_cast<size_t>(j)] != 0;
}

/// softmax(q k^T / sqrt(d)) v. A masked key has the logit -1e10, an invisible one (j > i, causal) none at all.
inline Naive naive_softmax(const AttendRequest& request) {
  const Sizes size(request);
  const std::vector<double>&q = request.arguments[0].values, &k = request.arguments[1].values,
        &v = request.arguments[2].values, &go = request.output_gradient;
  const double scale = 1 / std::sqrt(static_cast<double>(size.d));
  Naive r{.o = std::vector<double>(size.elements())};
  r.dq = r.dk = r.dv = r.o;
  for (int64_t h = 0; h < size.heads; ++h)
    for (int64_t i = 0; i < size.n; ++i) {
      const int64_t visible = request.causal ? i + 1 : size.n;
      std::vector<double> p(static_cast<size_t>(visible)), dp(p.size());
      for (int64_t j = 0; j < visible; ++j) {
        double logit = 0;
        for (int64_t a = 0; a < size.d; ++a) logit += scale * q[size.at(h, i, a)] * k[size.at(h, j, a)];
        p[static_cast<size_t>(j)] = is_real(request, j) ? logit : -1e10;
      }
      const double largest = *std::max_element(p.begin(), p.end());
      double total = 0, mean = 0;
      for (double& x : p) total += x = std::exp(x - largest);
      for (int64_t j = 0; j < visible; ++j) {
        double& weight = p[static_cast<size_t>(j)];
        weight /= total;
        for (int64_t a = 0; a < size.d; ++a) {
          r.o[size.at(h, i, a)] += weight * v[size.at(h, j, a)];
          r.dv[size.at(h, j, a)] += weight * go[size.at(h, i, a)];
          dp[static_cast<size_t>(j)] += go[size.at(h, i, a)] * v[size.at(h, j, a)];
        }
        mean += weight * dp[static_cast<size_t>(j)];
      }
      for (int64_t j = 0; j < visible; ++j) {
        if (!is_real(request, j)) continue;
        const double ds = p[static_cast<size_t>(j)] * (dp[static_cast<size_t>(j)] - mean) * scale;
        for (int64_t a = 0; a < size.d; ++a) {
          r.dq[size.at(h, i, a)] += ds * k[size.at(h, j, a)];
          r.dk[size.at(h, j, a)] += ds * q[size.at(h, i, a)];
        }
      }
    }
  return r;
}

/// A similarity c(i - j) phi(q_i) . phi(k_j) and what keeps its row sums away from zero.
struct Similarity {
  std::function<double(double)> phi, slope;
  std::function<double(int64_t distance)> factor = [](int64_t) { return 1.0; };
  double epsilon = 1e-6;
  bool clamps = false;  // max(sum, epsilon) instead of sum + epsilon
};

/// o_i = sum_j w_ij v_j / norm(sum_j w_ij) over real, visible keys.
inline Naive naive_similarity(const AttendRequest& request, const Similarity& similarity) {
  const Sizes size(request);
  const std::vector<double>&q = request.arguments[0].values, &k = request.arguments[1].values,
        &v = request.arguments[2].values, &go = request.output_gradient;
  Naive r{.o = std::vector<double>(size.elements())};
  r.dq = r.dk = r.dv = r.o;
  for (int64_t h = 0; h < size.heads; ++h)
    for (int64_t i = 0; i < size.n; ++i) {
      const int64_t visible = request.causal ? i + 1 : size.n;
      const auto factor = [&](int64_t j) { return is_real(request, j) ? similarity.factor(i - j) : 0.0; };
      std::vector<double> w(static_cast<size_t>(visible));
      double sum = 0, along = 0;
      for (int64_t j = 0; j < visible; ++j) {
        for (int64_t a = 0; a < size.d; ++a)
          w[static_cast<size_t>(j)] +=
              factor(j) * similarity.phi(q[size.at(h, i, a)]) * similarity.phi(k[size.at(h, j, a)]);
        sum += w[static_cast<size_t>(j)];
      }
      const bool clamped = similarity.clamps && sum <= similarity.epsilon;
      const double norm = similarity.clamps ? std::max(sum, similarity.epsilon) : sum + similarity.epsilon;
      for (int64_t a = 0; a < size.d; ++a) {
        for (int64_t j = 0; j < visible; ++j)
          r.o[size.at(h, i, a)] += w[static_cast<size_t>(j)] * v[size.at(h, j, a)] / norm;
        along += go[size.at(h, i, a)] * r.o[size.at(h, i, a)];
      }
      for (int64_t j = 0; j < visible; ++j) {
        double dw = clamped ? 0 : -along;
        for (int64_t a = 0; a < size.d; ++a) {
          dw += go[size.at(h, i, a)] * v[size.at(h, j, a)];
          r.dv[size.at(h, j, a)] += w[static_cast<size_t>(j)] / norm * go[size.at(h, i, a)];
        }
        for (int64_t a = 0; a < size.d; ++a) {
          const double x = q[size.at(h, i, a)], y = k[size.at(h, j, a)];
          r.dq[size.at(h, i, a)] += dw / norm * factor(j) * similarity.slope(x) * similarity.phi(y);
          r.dk[size.at(h, j, a)] += dw / norm * factor(j) * similarity.phi(x) * similarity.slope(y);
        }
      }
    }
  return r;
}

/// A mask over n tokens, by the name of its kind: none, tail, holes (the first token too), all.
inline std::vector<double> mask_of(const std::string& kind, int64_t n) {
  std::vector<double> mask(static_cast<size_t>(n), kind == "all" ? 0.0 : 1.0);
  for (int64_t j = 0; j < n; ++j) {
    if (kind == "tail" && j >= (2 * n + 2) / 3) mask[static_cast<size_t>(j)] = 0;
    if (kind == "holes" && j % 3 == 0 && n > 1) mask[static_cast<size_t>(j)] = 0;
  }
  return mask;
}

/// A request with a mask of that kind, gradients arriving at every row, in f64 by plain kernels.
inline AttendRequest request_of(const std::string& attention, int64_t n, const std::string& mask, bool causal) {
  AttendRequest request = harness::random_request(attention, n, n, static_cast<uint64_t>(n));
  request.mask = mask_of(mask, n);
  request.causal = causal;
  request.dtype = engine::Dtype::f64;
  request.kernels = engine::Kernels::plain;
  request.poison = true;
  return request;
}

/// Largest difference relative to the largest element of `expected`, or to `floor`; infinite for a NaN.
inline double distance(const std::vector<double>& got, const std::vector<double>& expected, double floor) {
  double scale = floor, worst = 0;
  for (const double value : expected) scale = std::max(scale, std::fabs(value));
  for (size_t i = 0; i < expected.size(); ++i) {
    const double error = std::fabs(got.at(i) - expected[i]);
    worst = error <= worst ? worst : std::isfinite(error) ? error : INFINITY;
  }
  return worst / scale;
}

inline void expect_equal(const AttendResult& got, const Naive& expected, double tolerance) {
  constexpr double kFloor = 1;  // the arguments are of magnitude 1: smaller sums of them have cancelled
  EXPECT_LE(distance(got.output.values, expected.o, kFloor), tolerance) << "output";
  EXPECT_LE(distance(got.gradients.at(0).values, expected.dq, kFloor), tolerance) << "gradient of q";
  EXPECT_LE(distance(got.gradients.at(1).values, expected.dk, kFloor), tolerance) << "gradient of k";
  EXPECT_LE(distance(got.gradients.at(2).values, expected.dv, kFloor), tolerance) << "gradient of v";
}

/// f64 to 1e-10, both kinds of f32 kernels to 2e-5: for every mask, n = 1, odd n, bidirectional and causal.
inline void expect_definition(const std::string& attention, const std::function<Naive(const AttendRequest&)>& naive) {
  for (const bool causal : {false, true})
    for (const int64_t n : {1, 2, 9, 63, 130})
      for (const char* mask : {"none", "tail", "holes", "all"}) {
        AttendRequest request = request_of(attention, n, mask, causal);
        const Naive expected = naive(request);
        const std::string what = attention + " n " + std::to_string(n) + " mask " + mask + (causal ? " causal" : "");
        SCOPED_TRACE(what);
        expect_equal(harness::attend(request), expected, 1e-10);
        request.dtype = engine::Dtype::f32;
        expect_equal(harness::attend(request), expected, 2e-5);
        request.kernels = engine::Kernels::fused;
        expect_equal(harness::attend(request), expected, 2e-5);
      }
}

/// The first `rows` rows of every argument.
inline AttendRequest prefix(const AttendRequest& request, int64_t rows) {
  const Sizes size(request);
  const auto cut = [&](const std::vector<double>& values) {
    std::vector<double> kept;
    for (int64_t h = 0; h < size.heads; ++h)
      kept.insert(kept.end(), values.begin() + h * size.n * size.d, values.begin() + (h * size.n + rows) * size.d);
    return kept;
  };
  AttendRequest shorter = request;
  for (harness::HostArray& argument : shorter.arguments) {
    argument.values = cut(argument.values);
    argument.shape.set(1, rows);
  }
  shorter.mask.resize(static_cast<size_t>(rows));
  shorter.output_gradient = cut(request.output_gradient);
  return shorter;
}

/// Row i of the causal form is the last row of the bidirectional form on the tokens up to i.
inline void expect_causal_equals_prefixes(const std::string& attention) {
  for (const bool fused : {false, true}) {
    AttendRequest causal = request_of(attention, 67, "holes", true);
    causal.nominal_length = 67;
    causal.dtype = fused ? engine::Dtype::f32 : engine::Dtype::f64;
    causal.kernels = fused ? engine::Kernels::fused : engine::Kernels::plain;
    const std::vector<double> expected = harness::attend(causal).output.values;
    const Sizes size(causal);
    for (const int64_t rows : {1, 2, 31, 64, 65, 67}) {
      AttendRequest bidirectional = prefix(causal, rows);
      bidirectional.causal = false;
      const std::vector<double> got = harness::attend(bidirectional).output.values;
      for (int64_t h = 0; h < size.heads; ++h)
        for (int64_t a = 0; a < size.d; ++a)
          EXPECT_NEAR(got[static_cast<size_t>((h * rows + rows - 1) * size.d + a)], expected[size.at(h, rows - 1, a)],
                      fused ? 2e-5 : 1e-12)
              << "prefix of " << rows << (fused ? " fused" : " plain");
    }
  }
}

}  // namespace lra::attention::testing
