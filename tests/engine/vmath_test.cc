// The documented errors of exp_f32, exp2_f32, tanh_f32 and erf_f32, measured on a dense set of floats against f64.
#include "engine/kernels/vmath.h"

#include <gtest/gtest.h>
#include <xmmintrin.h>

#include <algorithm>
#include <bit>
#include <cfloat>
#include <cmath>
#include <functional>
#include <limits>
#include <numbers>
#include <vector>

#include "tests/engine/nan.h"

namespace lra::engine {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
/// Every so many bit patterns; a prime, so that all exponents and mantissa endings are met.
constexpr uint64_t kPatternStep = 251;

double ulps(float y, double exact) {
  int exponent = 0;
  static_cast<void>(std::frexp(exact, &exponent));
  return std::fabs(double{y} - exact) / std::ldexp(1.0, std::max(exponent - 24, -149));
}

/// Calls check(x, y) on finite floats of both signs, computed by the vector loop.
void for_dense_floats(void (*function)(const float*, float*, int64_t), const std::function<void(float, float)>& check) {
  std::vector<float> x, y(1 << 16);
  for (uint64_t pattern = 0; pattern < uint64_t{1} << 32;) {
    x.clear();
    for (; x.size() < y.size() && pattern < uint64_t{1} << 32; pattern += kPatternStep)
      x.push_back(std::bit_cast<float>(static_cast<uint32_t>(pattern)));
    function(x.data(), y.data(), static_cast<int64_t>(x.size()));
    for (size_t i = 0; i < x.size(); ++i) {
      if (std::isnan(x[i])) {
        ASSERT_TRUE(std::isnan(y[i])) << std::bit_cast<uint32_t>(x[i]);
      } else {
        check(x[i], y[i]);
      }
    }
  }
}

/// Keeps or flushes denormals until the end of its scope, as workers of the same process may have done before.
class Denormals {
 public:
  explicit Denormals(bool flush) : before_(_mm_getcsr()) {
    constexpr unsigned kFlush = 0x8040;  // to zero, as results and as operands
    _mm_setcsr(flush ? before_ | kFlush : before_ & ~kFlush);
  }
  ~Denormals() { _mm_setcsr(before_); }
  Denormals(const Denormals&) = delete;
  Denormals& operator=(const Denormals&) = delete;

 private:
  unsigned before_;
};

double largest_error(void (*function)(const float*, float*, int64_t), double (*exact)(double)) {
  double worst = 0;
  for_dense_floats(function, [&](float x, float y) { worst = std::max(worst, ulps(y, exact(double{x}))); });
  return worst;
}

TEST(VmathTest, ExpStaysWithinItsError) {
  double worst = 0;
  for_dense_floats(exp_f32, [&](float x, float y) {
    const double exact = std::exp(double{x});
    if (exact < double{FLT_MIN}) {
      ASSERT_TRUE(y == 0 || y == FLT_MIN) << x;
    } else if (exact > double{FLT_MAX}) {
      ASSERT_EQ(y, kInfinity) << x;
    } else {
      worst = std::max(worst, ulps(y, exact));
    }
  });
  EXPECT_LE(worst, 1.1);
  RecordProperty("ulp", std::to_string(worst));
}

/// Whether this build makes one instruction, with one rounding, of a * b + c.
bool fuses_multiply_and_add() {
  volatile float near_one = 1 + 0x1p-12f, rounded_square = 1 + 0x1p-11f;  // the square is 2^-24 more
  const float x = near_one, y = rounded_square;
  return x * x - y != 0;
}

TEST(VmathTest, PowersOfTwoStayWithinTheirError) {
  double worst = 0;
  for_dense_floats(exp2_f32, [&](float x, float y) {
    if (x >= 127.0f) return;
    if (x < -125.0f) {
      ASSERT_EQ(y, 0.0f) << x;
    } else {
      worst = std::max(worst, ulps(y, std::exp2(double{x})));
    }
  });
  EXPECT_LE(worst, fuses_multiply_and_add() ? 2.1 : 2.2);
  RecordProperty("ulp", std::to_string(worst));
  EXPECT_EQ(exp2_f32(-kInfinity), 0.0f);
  EXPECT_TRUE(std::isnan(exp2_f32(kNaN)));
  for (int n = -125; n < 127; ++n) EXPECT_EQ(exp2_f32(static_cast<float>(n)), std::ldexp(1.0f, n)) << n;
}

TEST(VmathTest, ExpHandlesTheEndsOfItsRange) {
  EXPECT_EQ(exp_f32(-kInfinity), 0.0f);
  EXPECT_EQ(exp_f32(-1e10f), 0.0f);
  EXPECT_EQ(exp_f32(kInfinity), kInfinity);
  EXPECT_EQ(exp_f32(1e10f), kInfinity);
  EXPECT_TRUE(std::isnan(exp_f32(kNaN)));
  EXPECT_EQ(exp_f32(0.0f), 1.0f);
  EXPECT_EQ(exp_f32(-0.0f), 1.0f);
  const float last = 88.7228317f;  // the largest float whose exponential is finite
  EXPECT_LE(ulps(exp_f32(last), std::exp(double{last})), 1.1);
  EXPECT_EQ(exp_f32(std::nextafter(last, kInfinity)), kInfinity);
  EXPECT_GE(exp_f32(-87.3365402f), FLT_MIN);
  EXPECT_EQ(exp_f32(std::nextafter(-87.3365479f, -kInfinity)), 0.0f);
}

TEST(VmathTest, TanhStaysWithinItsError) {
  const double worst = largest_error(tanh_f32, std::tanh);
  EXPECT_LE(worst, 1.5);
  RecordProperty("ulp", std::to_string(worst));
}

TEST(VmathTest, ErfStaysWithinItsError) {
  const Denormals kept(false);
  const double worst = largest_error(erf_f32, std::erf);
  EXPECT_LE(worst, 1.2);
  RecordProperty("ulp", std::to_string(worst));
}

TEST(VmathTest, ErfOfTinyArgumentsStaysWithinItsErrorWhereDenormalsAreFlushed) {
  const Denormals flushed(true);
  std::vector<float> x, y;
  for (float value = FLT_MIN; value < 1e-30f; value *= 1.0007f) x.push_back(value);
  y.resize(x.size());
  erf_f32(x.data(), y.data(), static_cast<int64_t>(x.size()));
  for (size_t i = 0; i < x.size(); ++i) {
    const double exact = std::erf(double{x[i]});
    if (x[i] < 0x1p-123f) {
      EXPECT_LE(std::fabs(double{y[i]} - exact), double{FLT_MIN}) << x[i];
    } else {
      EXPECT_LE(ulps(y[i], exact), 1.2) << x[i];
    }
  }
}

TEST(VmathTest, SigmoidsAreOddAndBounded) {
  for (float x = 0; x < 12; x += 0.0007f) {
    for (float (*f)(float) : {static_cast<float (*)(float)>(tanh_f32), static_cast<float (*)(float)>(erf_f32)}) {
      EXPECT_EQ(f(-x), -f(x));
      EXPECT_LE(f(x), 1.0f);
      if (x > 9.1f) {
        EXPECT_EQ(f(x), 1.0f);
      }
    }
  }
  EXPECT_EQ(tanh_f32(kInfinity), 1.0f);
  EXPECT_EQ(erf_f32(-kInfinity), -1.0f);
  EXPECT_TRUE(std::signbit(tanh_f32(-0.0f)));
}

TEST(VmathTest, GelusAndTheirDerivativesEqualTheStandardLibraryOnes) {
  for (float x = -12; x < 12; x += 0.0013f) {
    const double exact = x;
    const double scale = 1 + std::fabs(exact);
    EXPECT_NEAR(gelu_erf<FastMath>(x), gelu_erf<StandardMath<double>>(exact), 2e-7 * scale);
    EXPECT_NEAR(gelu_tanh<FastMath>(x), gelu_tanh<StandardMath<double>>(exact), 2e-7 * scale);
    EXPECT_NEAR(gelu_erf_derivative<FastMath>(x), gelu_erf_derivative<StandardMath<double>>(exact), 1e-6);
    EXPECT_NEAR(gelu_tanh_derivative<FastMath>(x), gelu_tanh_derivative<StandardMath<double>>(exact), 2e-6);
  }
}

TEST(VmathTest, TheNormalDistributionStaysWithinItsErrorInBothTails) {
  std::vector<float> points;
  for (float x = -12.9f; x < 13; x += 0.0011f) points.push_back(x);
  std::vector<float> got_cdf(points.size()), got_density(points.size());
  normal_f32(points.data(), got_cdf.data(), got_density.data(), static_cast<int64_t>(points.size()));
  for (size_t i = 0; i < points.size(); ++i) {
    const float x = points[i];
    const double exact = x;
    const double cdf = 0.5 * std::erfc(-exact * std::numbers::sqrt2 / 2);
    const double density = std::exp(-0.5 * exact * exact) * std::numbers::inv_sqrtpi * std::numbers::sqrt2 / 2;
    const double allowed = x > -6 ? 1.3e-6 : 4.2e-6;
    EXPECT_NEAR(got_cdf[i], cdf, allowed * cdf) << x;
    EXPECT_NEAR(got_density[i], density, 4.2e-6 * density) << x;
  }
  EXPECT_EQ(normal_f32(kInfinity).cdf, 1.0f);
  EXPECT_EQ(normal_f32(-kInfinity).cdf, 0.0f);
  EXPECT_TRUE(std::isnan(normal_f32(std::numeric_limits<float>::quiet_NaN()).cdf));
}

TEST(VmathTest, ArrayFormsTreatTailsAndInPlaceAlike) {
  float single = 0.25f;
  exp_f32(&single, &single, 1);
  for (int64_t count = 0; count < 37; ++count) {
    std::vector<float> x(static_cast<size_t>(count) + 1, 0.25f);
    x.back() = 3.0f;  // behind the end
    exp_f32(x.data(), x.data(), count);
    for (int64_t i = 0; i < count; ++i) EXPECT_EQ(x[static_cast<size_t>(i)], single);
    EXPECT_EQ(x.back(), 3.0f);
  }
}

}  // namespace
}  // namespace lra::engine
