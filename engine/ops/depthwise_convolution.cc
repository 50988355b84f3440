#include "engine/ops/depthwise_convolution.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/errors.h"
#include "engine/op.h"
#include "engine/ops/planes.h"

namespace lra::engine {
namespace {

constexpr int64_t kLanes = 16;  // columns worked on at a time
constexpr int64_t kRows = 8;    // rows of the result in registers

/// y = x convolved with w, or with w backwards. Rows of the result are made kRows at a time, so that each row of x is
/// read once for all of them.
template <class T>
class ConvolutionKernel final : public Kernel {
 public:
  explicit ConvolutionKernel(bool reversed) : reversed_(reversed) {}

  void run(const KernelArguments& arguments) const override {
    const Planes<const T> x(arguments.inputs[0]);
    const Planes<T> y(arguments.outputs[0]);
    const View& w = arguments.inputs[1];
    const int64_t taps = w.shape()[1];
    for (int64_t plane = 0; plane < y.planes; ++plane) {
      const T* filter = w.as<T>() + plane * w.stride(0);
      for (int64_t begin = 0; begin < y.rows; begin += kRows)
        for (int64_t column = 0; column < y.columns; column += kLanes) {
          const int64_t rows = std::min(kRows, y.rows - begin), columns = std::min(kLanes, y.columns - column);
          if (columns == kLanes) {
            block(x, y, filter, taps, plane, {begin, rows}, column, kLanes);
          } else {
            block(x, y, filter, taps, plane, {begin, rows}, column, columns);
          }
        }
    }
  }

 private:
  struct Rows {
    int64_t begin, count;
  };

  // In line, so that `columns` is a constant where it is kLanes.
  __attribute__((always_inline)) void block(const Planes<const T>& x, const Planes<T>& y, const T* filter, int64_t taps,
                                            int64_t plane, Rows rows, int64_t column, int64_t columns) const {
    const int64_t reach = (taps - 1) / 2;
    T sums[kRows][kLanes] = {};
    const int64_t first = std::max<int64_t>(0, rows.begin - reach);
    const int64_t last = std::min(x.rows, rows.begin + rows.count + reach);
    for (int64_t from = first; from < last; ++from) {
      const T* in = x.row(plane, from) + column;
      for (int64_t r = 0; r < kRows; ++r) {
        const int64_t tap = from - (rows.begin + r) + reach;
        if (tap < 0 || tap >= taps || r >= rows.count) continue;
        const T weight = filter[reversed_ ? taps - 1 - tap : tap];
#pragma omp simd
        for (int64_t c = 0; c < columns; ++c) sums[r][c] += weight * in[c];
      }
    }
    for (int64_t r = 0; r < rows.count; ++r) std::copy_n(sums[r], columns, y.row(plane, rows.begin + r) + column);
  }

  bool reversed_;
};

/// dw[h, t] = sum over i and c of g[h, i, c] x[h, i + t - reach, c].
template <class T>
class FilterGradientKernel final : public Kernel {
 public:
  void run(const KernelArguments& arguments) const override {
    const Planes<const T> x(arguments.inputs[0]), g(arguments.inputs[1]);
    const View& dw = arguments.outputs[0];
    const int64_t taps = dw.shape()[1], reach = (taps - 1) / 2;
    for (int64_t plane = 0; plane < x.planes; ++plane)
      for (int64_t tap = 0; tap < taps; ++tap) {
        const int64_t shift = tap - reach;
        T total = 0;
        for (int64_t i = std::max<int64_t>(0, -shift); i < std::min(x.rows, x.rows - shift); ++i) {
          const T* gradient = g.row(plane, i);
          const T* in = x.row(plane, i + shift);
          T sum = 0;
#pragma omp simd reduction(+ : sum)
          for (int64_t c = 0; c < x.columns; ++c) sum += gradient[c] * in[c];
          total += sum;
        }
        dw.as<T>()[plane * dw.stride(0) + tap] = total;
      }
  }
};

/// The gradient of the filters: x, g -> [h, taps].
class FilterGradientOp final : public Op {
 public:
  explicit FilterGradientOp(int64_t taps) : taps_(taps) {}
  std::string_view name() const override { return "depthwise_filter_gradient"; }
  std::vector<Type> infer(std::span<const Type> inputs) const override {
    return {{inputs[0].dtype, {inputs[0].shape[0], taps_}}};
  }
  std::unique_ptr<Kernel> kernel(const KernelRequest& request) const override {
    if (request.inputs[0].dtype == Dtype::f64) return std::make_unique<FilterGradientKernel<double>>();
    return std::make_unique<FilterGradientKernel<float>>();
  }
  std::vector<Var> vjp(const VjpArguments&) const override {
    LRA_CHECK(false, "depthwise_filter_gradient has no gradient of its own");
    return {};
  }

 private:
  int64_t taps_;
};

class DepthwiseConvolutionOp final : public Op {
 public:
  explicit DepthwiseConvolutionOp(bool reversed) : reversed_(reversed) {}
  std::string_view name() const override { return "depthwise_convolution"; }
  std::vector<Type> infer(std::span<const Type> inputs) const override { return {inputs[0]}; }
  std::unique_ptr<Kernel> kernel(const KernelRequest& request) const override {
    if (request.inputs[0].dtype == Dtype::f64) return std::make_unique<ConvolutionKernel<double>>(reversed_);
    return std::make_unique<ConvolutionKernel<float>>(reversed_);
  }
  std::vector<Var> vjp(const VjpArguments& arguments) const override {
    LRA_CHECK(!reversed_, "the gradient of depthwise_convolution has no gradient of its own");
    const Var x = arguments.inputs[0], w = arguments.inputs[1], g = arguments.output_gradients[0];
    Var dx, dw;
    if (arguments.needed[0]) dx = g.graph().apply1(std::make_shared<const DepthwiseConvolutionOp>(true), {g, w});
    if (arguments.needed[1]) dw = g.graph().apply1(std::make_shared<const FilterGradientOp>(w.shape()[1]), {x, g});
    return {dx, dw};
  }

 private:
  bool reversed_;
};

}  // namespace

Var depthwise_convolution(Var x, Var w) {
  LRA_CHECK(x.shape().rank() == 3 && w.shape().rank() == 2 && w.shape()[0] == x.shape()[0] && w.shape()[1] % 2 == 1,
            fmt::format("[depthwise_convolution] x {} and w {} are not [h, n, d] and [h, odd]", x.shape().to_string(),
                        w.shape().to_string()));
  return x.graph().apply1(std::make_shared<const DepthwiseConvolutionOp>(false), {x, w});
}

}  // namespace lra::engine
