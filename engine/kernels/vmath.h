// exp, 2^x, tanh and erf in f32 as straight-line code, for loops marked `omp simd`, and the GELUs made of them.
//
// Maximum errors, measured over all floats against f64 (tests/engine/vmath_test.cc asserts them, with and without fused
// multiply-add): see each function. NaN gives NaN everywhere. The coefficients are minimax fits of this project
// (iteratively reweighted least squares on the relative error), rounded to f32.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numbers>

namespace lra::engine {

namespace detail {

/// e^x for -87.3 < x < 88.7 (or NaN, whose result is arbitrary): 2^n e^r with |r| <= ln(2)/2.
inline float exp_in_range(float x) {
  constexpr float kLog2E = 1.44269504f;
  constexpr float kLn2High = 0.693145752f;    // 15 bits: n * kLn2High is exact even without fused multiply-add
  constexpr float kLn2Low = 1.42860677e-06f;  // ln 2 - kLn2High
  constexpr float kRound = 12582912.0f;       // 1.5 * 2^23: adding it leaves the nearest integer in the low bits
  const float shifted = x * kLog2E + kRound;
  const float n = shifted - kRound;
  const float r = (x - n * kLn2High) - n * kLn2Low;
  float p = 0.00138145813f;
  p = p * r + 0.00836872496f;
  p = p * r + 0.0416683890f;
  p = p * r + 0.166665211f;
  p = p * r + 0.499999940f;
  p = (p * r) * r + r + 1.0f;
  // p lies in [0.7, 1.42]: adding n to its exponent stays inside the exponent's range.
  return std::bit_cast<float>(std::bit_cast<uint32_t>(p) + (std::bit_cast<uint32_t>(shifted) << 23));
}

}  // namespace detail

/// e^x within 1.1 ulp. -inf and whatever would be subnormal (x < ln 2^-126) give 0; x > ln FLT_MAX gives inf.
inline float exp_f32(float x) {
  constexpr float kLargest = 88.7228317f;                           // the last float below ln FLT_MAX
  constexpr float kSmallest = -87.3365402f;                         // ln FLT_MIN
  const float beyond = x + std::numeric_limits<float>::infinity();  // inf, or NaN for NaN
  const float y = x <= kLargest ? detail::exp_in_range(x) : beyond;
  return x < kSmallest ? 0.0f : y;
}

/// 2^x within 2.1 ulp (2.2 where multiply and add are not fused) for x < 127: for weights of a softmax, whose exponents
/// end at 0, in two thirds of the work of e^x. -inf and whatever is below 2^-125 give 0.
inline float exp2_f32(float x) {
  constexpr float kRound = 12583039.0f;  // 1.5 * 2^23 + 127: adding it leaves the bits of 2^n, n nearest to x, below
  constexpr float kSmallest = -125.0f;
  const float shifted = x + kRound;
  const float r = x - (shifted - kRound);  // |r| <= 1/2
  float p = 0.00132647273f;
  p = p * r + 0.00967151299f;
  p = p * r + 0.0555073358f;
  p = p * r + 0.240222424f;
  p = p * r + 0.693147004f;
  p = p * r + 1.0f;
  const float y = p * std::bit_cast<float>(std::bit_cast<uint32_t>(shifted) << 23);
  return x < kSmallest ? 0.0f : y;
}

/// tanh x within 1.5 ulp; odd, and never beyond ±1. A polynomial below 1/2, 1 - 2 / (e^2x + 1) above.
inline float tanh_f32(float x) {
  constexpr float kSmall = 0.55f;
  constexpr float kSaturated = 9.1f;  // tanh rounds to 1 before
  const float size = std::fabs(x);
  const float t = x * x;
  float p = -0.00627424102f;
  p = p * t + 0.0210716799f;
  p = p * t + -0.0538523085f;
  p = p * t + 0.133325860f;
  p = p * t + -0.333333164f;
  const float small = (p * t) * size + size;
  const float bounded = size > kSaturated ? kSaturated : size;
  const float large = 1.0f - 2.0f / (detail::exp_in_range(2.0f * bounded) + 1.0f);
  return std::copysign(size > kSmall ? large : small, x);
}

/// erf x within 1.2 ulp; odd, and never beyond ±1. A polynomial below 0.9, 1 - e^polynomial above (N. Juffa's scheme).
/// Without fused multiply-add and with denormals flushed, |x| < 2^-123 may give x itself: FLT_MIN too small at most.
inline float erf_f32(float x) {
  constexpr float kSmall = 0.9f;
  constexpr float kSaturated = 4.0f;  // erf rounds to 1 before
  const float size = std::fabs(x);
  const float t = x * x;
  float p = -0.000609037525f;
  p = p * t + 0.00501196645f;
  p = p * t + -0.0267789122f;
  p = p * t + 0.112821408f;
  p = p * t + -0.376125246f;
  p = p * t + 0.128379151f;
  const float small = p * size + size;
  const float z = size > kSaturated ? kSaturated : size;
  float log_erfc = 0.000214594940f;  // -z + z * a polynomial fitted to 1 + ln(erfc z) / z
  log_erfc = log_erfc * z + -0.00321997493f;
  log_erfc = log_erfc * z + 0.0229060296f;
  log_erfc = log_erfc * z + -0.105286852f;
  log_erfc = log_erfc * z + -0.635699391f;
  log_erfc = log_erfc * z + -0.128519952f;
  log_erfc = log_erfc * z + -z;
  const float large = 1.0f - detail::exp_in_range(log_erfc);
  return std::copysign(size > kSmall ? large : small, x);
}

/// The normal distribution at one point.
template <class T>
struct NormalPoint {
  T cdf;
  T density;
};

/// Both within 4.2e-6 of their own size for |x| < 13, the lower tail included (1.3e-6 above -6, where x^2 / 2 rounds
/// less), from one exponential:
/// Phi(-z sqrt 2) = erfc(z) / 2 = e^(-z^2) E(z) / 2 with E a polynomial in t = 1 / (1 + 0.37 z), times t.
inline NormalPoint<float> normal_f32(float x) {
  constexpr float kTail = 13.0f;  // beyond, the distribution function is subnormal
  const float size = std::fabs(x);
  const float bounded = size > kTail ? kTail : size;
  const float gauss = detail::exp_in_range(-0.5f * bounded * bounded);
  const float t = 1.0f / (0.37f * (std::numbers::sqrt2_v<float> / 2) * bounded + 1.0f);
  float p = 0.0619230643f;
  p = p * t + -0.303272814f;
  p = p * t + 0.486841381f;
  p = p * t + -0.285311311f;
  p = p * t + 0.310801566f;
  p = p * t + 0.106520519f;
  p = p * t + 0.206253976f;
  p = p * t + 0.207429841f;
  p = p * t + 0.208813742f;
  const float tail = size > kTail ? 0.0f : 0.5f * (p * t) * gauss;
  constexpr float kInverseSqrt2Pi = std::numbers::sqrt2_v<float> / 2 * std::numbers::inv_sqrtpi_v<float>;
  return {.cdf = x > 0.0f ? 1.0f - tail : tail, .density = kInverseSqrt2Pi * gauss};
}

/// y[i] = f(x[i]). y may be x.
void exp_f32(const float* x, float* y, int64_t count);
void exp2_f32(const float* x, float* y, int64_t count);
void tanh_f32(const float* x, float* y, int64_t count);
void erf_f32(const float* x, float* y, int64_t count);
/// cdf[i], density[i] = normal_f32(x[i]). No two overlap.
void normal_f32(const float* x, float* cdf, float* density, int64_t count);

// GELU (Hendrycks and Gimpel 2016): x Phi(x) with the normal distribution function Phi, or its tanh approximation
// x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))). Both forms are templates over the functions they are made of, so that
// the plain kernels (standard library) and the fast ones (above) share one formula.

/// tanh and the normal distribution by the standard library.
template <class T>
struct StandardMath {
  static T tanh(T x) { return std::tanh(x); }
  static NormalPoint<T> normal(T x) {
    constexpr T kInverseSqrt2 = std::numbers::sqrt2_v<T> / 2;
    return {.cdf = (1 + std::erf(x * kInverseSqrt2)) / 2,
            .density = kInverseSqrt2 * std::numbers::inv_sqrtpi_v<T> * std::exp(-x * x / 2)};
  }
};

/// Those of this file.
struct FastMath {
  static float tanh(float x) { return tanh_f32(x); }
  static NormalPoint<float> normal(float x) { return normal_f32(x); }
};

template <class Math, class T>
inline T gelu_erf(T x) {
  return x * Math::normal(x).cdf;
}

/// Phi(x) + x phi(x), with the normal density phi.
template <class Math, class T>
inline T gelu_erf_derivative(T x) {
  const NormalPoint<T> at = Math::normal(x);
  return at.cdf + x * at.density;
}

template <class Math, class T>
inline T gelu_tanh(T x) {
  constexpr T kHalf = T{1} / 2;
  constexpr T kCubic = static_cast<T>(0.044715);
  constexpr T kSlope = std::numbers::sqrt2_v<T> * std::numbers::inv_sqrtpi_v<T>;  // sqrt(2/pi)
  return kHalf * x * (1 + Math::tanh(kSlope * (x + kCubic * x * x * x)));
}

template <class Math, class T>
inline T gelu_tanh_derivative(T x) {
  constexpr T kHalf = T{1} / 2;
  constexpr T kCubic = static_cast<T>(0.044715);
  constexpr T kSlope = std::numbers::sqrt2_v<T> * std::numbers::inv_sqrtpi_v<T>;
  const T tangent = Math::tanh(kSlope * (x + kCubic * x * x * x));
  return kHalf * (1 + tangent) + kHalf * x * (1 - tangent * tangent) * kSlope * (1 + 3 * kCubic * x * x);
}

}  // namespace lra::engine
