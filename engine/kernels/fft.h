// The discrete Fourier transform of many columns at once, along the rows.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

namespace lra::engine {

/// Columns that are transformed together: one vector.
inline constexpr int64_t kFftColumns = 16;

/// Complex numbers, [rows, kFftColumns], real and imaginary parts apart.
struct FftRows {
  float* re = nullptr;
  float* im = nullptr;
};

/// X_k = sum over t of x_t e^(-2 pi i k t / n) for k < n, of each column. Any n > 0: Stockham's algorithm with the
/// factors of n where all are small, by a convolution of a power of 2 (Bluestein 1970) otherwise.
class RowFft {
 public:
  explicit RowFft(int64_t n);
  int64_t n() const { return n_; }
  /// Rows that each of the two buffers of run() needs, at least n.
  int64_t buffer_rows() const;
  /// Transforms what lies in `x`, with `other` as scratch. Returns the one of the two that holds the result.
  FftRows run(FftRows x, FftRows other) const;

 private:
  struct Convolved;
  struct Complex {
    float re, im;
  };
  FftRows transform(FftRows x, FftRows other) const;
  FftRows convolve(FftRows x, FftRows other) const;
  template <int kRadix>
  void pass(const FftRows& x, const FftRows& y, int64_t radix, int64_t m, int64_t stride) const;

  int64_t n_;
  std::vector<int64_t> factors_;
  std::vector<Complex> roots_;  // e^(-2 pi i t / n)
  std::shared_ptr<const Convolved> convolved_;
};

struct RowFft::Convolved {
  explicit Convolved(int64_t n);
  RowFft fft;                   // of a power of 2 of at least 2n - 1 rows
  std::vector<Complex> chirp;   // e^(-pi i t^2 / n), t < n
  std::vector<Complex> filter;  // the transform of its conjugate, divided by the length
};

}  // namespace lra::engine
