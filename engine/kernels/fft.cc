#include "engine/kernels/fft.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <numbers>

namespace lra::engine {
namespace {

constexpr int64_t kLargestFactor = 61;  // beyond it a butterfly costs more than a convolution

/// 4 first: fewest passes.
std::vector<int64_t> factors_of(int64_t n) {
  std::vector<int64_t> factors;
  for (const int64_t factor : {4, 2, 3, 5})
    for (; n % factor == 0; n /= factor) factors.push_back(factor);
  for (int64_t factor = 7; n > 1; factor += 2)
    for (; n % factor == 0; n /= factor) factors.push_back(factor);
  return factors;
}

/// One complex number of each column.
struct ComplexLanes {
  float re[kFftColumns];
  float im[kFftColumns];
};

inline void load(const FftRows& x, int64_t row, ComplexLanes& to) {
  std::copy_n(x.re + row * kFftColumns, kFftColumns, to.re);
  std::copy_n(x.im + row * kFftColumns, kFftColumns, to.im);
}

/// y = x (re + i im).
inline void store_product(const FftRows& y, int64_t row, const ComplexLanes& x, float re, float im) {
  float* y_re = y.re + row * kFftColumns;
  float* y_im = y.im + row * kFftColumns;
#pragma omp simd
  for (int64_t c = 0; c < kFftColumns; ++c) {
    const float a = x.re[c], b = x.im[c];
    y_re[c] = a * re - b * im;
    y_im[c] = a * im + b * re;
  }
}

inline void butterfly2(const ComplexLanes* x, ComplexLanes* y) {
#pragma omp simd
  for (int64_t c = 0; c < kFftColumns; ++c) {
    y[0].re[c] = x[0].re[c] + x[1].re[c];
    y[0].im[c] = x[0].im[c] + x[1].im[c];
    y[1].re[c] = x[0].re[c] - x[1].re[c];
    y[1].im[c] = x[0].im[c] - x[1].im[c];
  }
}

inline void butterfly4(const ComplexLanes* x, ComplexLanes* y) {
#pragma omp simd
  for (int64_t c = 0; c < kFftColumns; ++c) {
    const float sum02_re = x[0].re[c] + x[2].re[c], sum02_im = x[0].im[c] + x[2].im[c];
    const float difference02_re = x[0].re[c] - x[2].re[c], difference02_im = x[0].im[c] - x[2].im[c];
    const float sum13_re = x[1].re[c] + x[3].re[c], sum13_im = x[1].im[c] + x[3].im[c];
    const float difference13_re = x[1].re[c] - x[3].re[c], difference13_im = x[1].im[c] - x[3].im[c];
    y[0].re[c] = sum02_re + sum13_re;
    y[0].im[c] = sum02_im + sum13_im;
    y[2].re[c] = sum02_re - sum13_re;
    y[2].im[c] = sum02_im - sum13_im;
    y[1].re[c] = difference02_re + difference13_im;  // -i times the difference
    y[1].im[c] = difference02_im - difference13_re;
    y[3].re[c] = difference02_re - difference13_im;
    y[3].im[c] = difference02_im + difference13_re;
  }
}

}  // namespace

RowFft::RowFft(int64_t n) : n_(n), factors_(factors_of(n)) {
  if (!factors_.empty() && *std::max_element(factors_.begin(), factors_.end()) > kLargestFactor) {
    convolved_ = std::make_shared<const Convolved>(n);
    return;
  }
  for (int64_t t = 0; t < n; ++t) {
    const double angle = -2 * std::numbers::pi * static_cast<double>(t) / static_cast<double>(n);
    roots_.push_back({static_cast<float>(std::cos(angle)), static_cast<float>(std::sin(angle))});
  }
}

RowFft::Convolved::Convolved(int64_t n) : fft(static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(2 * n - 1)))) {
  const int64_t rows = fft.n();
  std::vector<float> buffers[4];
  for (std::vector<float>& buffer : buffers) buffer.assign(static_cast<size_t>(rows * kFftColumns), 0.0F);
  const auto at = [](std::vector<float>& buffer, int64_t row) -> float& {
    return buffer[static_cast<size_t>(row * kFftColumns)];
  };
  for (int64_t t = 0; t < n; ++t) {
    // t^2 modulo 2n: the angle stays exact for long sequences.
    const double angle = -std::numbers::pi * static_cast<double>(t * t % (2 * n)) / static_cast<double>(n);
    chirp.push_back({static_cast<float>(std::cos(angle)), static_cast<float>(std::sin(angle))});
    for (const int64_t row : {t, (rows - t) % rows}) {
      at(buffers[0], row) = chirp.back().re;
      at(buffers[1], row) = -chirp.back().im;
    }
  }
  const FftRows result = fft.run({buffers[0].data(), buffers[1].data()}, {buffers[2].data(), buffers[3].data()});
  const float scale = 1.0F / static_cast<float>(rows);
  for (int64_t row = 0; row < rows; ++row)
    filter.push_back({result.re[row * kFftColumns] * scale, result.im[row * kFftColumns] * scale});
}

int64_t RowFft::buffer_rows() const { return convolved_ == nullptr ? n_ : convolved_->fft.n(); }

FftRows RowFft::run(FftRows x, FftRows other) const {
  return convolved_ == nullptr ? transform(x, other) : convolve(x, other);
}

FftRows RowFft::transform(FftRows x, FftRows other) const {
  int64_t rest = n_, stride = 1;
  for (const int64_t radix : factors_) {
    const int64_t m = rest / radix;
    switch (radix) {
      case 2:
        pass<2>(x, other, 2, m, stride);
        break;
      case 3:
        pass<3>(x, other, 3, m, stride);
        break;
      case 4:
        pass<4>(x, other, 4, m, stride);
        break;
      case 5:
        pass<5>(x, other, 5, m, stride);
        break;
      default:
        pass<0>(x, other, radix, m, stride);
    }
    std::swap(x, other);
    rest = m;
    stride *= radix;
  }
  return x;
}

/// One pass of Stockham's algorithm: transforms of `radix` points, whose results are turned and put where the next pass
/// reads them. kRadix 0: any radix up to kLargestFactor.
template <int kRadix>
void RowFft::pass(const FftRows& x, const FftRows& y, int64_t radix_given, int64_t m, int64_t stride) const {
  const int64_t radix = kRadix == 0 ? radix_given : kRadix;
  constexpr size_t kPoints = kRadix == 0 ? static_cast<size_t>(kLargestFactor) : static_cast<size_t>(kRadix);
  std::array<ComplexLanes, kPoints> in, out;
  const int64_t root_of_pass = n_ / (radix * m), root_of_radix = n_ / radix;
  for (int64_t p = 0; p < m; ++p)
    for (int64_t q = 0; q < stride; ++q) {
      for (int64_t j = 0; j < radix; ++j) load(x, q + stride * (p + m * j), in[static_cast<size_t>(j)]);
      if constexpr (kRadix == 2) {
        butterfly2(in.data(), out.data());
      } else if constexpr (kRadix == 4) {
        butterfly4(in.data(), out.data());
      } else {
        for (int64_t k = 0; k < radix; ++k) {
          ComplexLanes& sum = out[static_cast<size_t>(k)];
          sum = in[0];
          for (int64_t j = 1; j < radix; ++j) {
            const Complex root = roots_[static_cast<size_t>(root_of_radix * (j * k % radix))];
            const ComplexLanes& from = in[static_cast<size_t>(j)];
#pragma omp simd
            for (int64_t c = 0; c < kFftColumns; ++c) {
              sum.re[c] += from.re[c] * root.re - from.im[c] * root.im;
              sum.im[c] += from.re[c] * root.im + from.im[c] * root.re;
            }
          }
        }
      }
      for (int64_t k = 0; k < radix; ++k) {
        const Complex root = roots_[static_cast<size_t>(root_of_pass * p * k % n_)];
        store_product(y, q + stride * (radix * p + k), out[static_cast<size_t>(k)], root.re, root.im);
      }
    }
}

/// X_k = c_k (x c * conj(c))_k with the chirp c: a circular convolution, by two transforms of a power of 2.
FftRows RowFft::convolve(FftRows x, FftRows other) const {
  const int64_t rows = convolved_->fft.n();
  const auto multiply_rows = [](const FftRows& at, int64_t count, const std::vector<Complex>& by, bool conjugate) {
    ComplexLanes row;
    for (int64_t t = 0; t < count; ++t) {
      load(at, t, row);
      const Complex factor = by[static_cast<size_t>(t)];
      store_product(at, t, row, factor.re, factor.im);
      if (conjugate) {
        float* im = at.im + t * kFftColumns;
#pragma omp simd
        for (int64_t c = 0; c < kFftColumns; ++c) im[c] = -im[c];
      }
    }
  };
  multiply_rows(x, n_, convolved_->chirp, false);
  std::fill(x.re + n_ * kFftColumns, x.re + rows * kFftColumns, 0.0F);
  std::fill(x.im + n_ * kFftColumns, x.im + rows * kFftColumns, 0.0F);
  const FftRows spectrum = convolved_->fft.run(x, other);
  // The transform back is the conjugate of the transform of the conjugate.
  multiply_rows(spectrum, rows, convolved_->filter, true);
  const FftRows result = convolved_->fft.run(spectrum, spectrum.re == x.re ? other : x);
  float* im = result.im;
  for (int64_t i = 0; i < n_ * kFftColumns; ++i) im[i] = -im[i];
  multiply_rows(result, n_, convolved_->chirp, false);
  return result;
}

}  // namespace lra::engine
