#include "engine/ops/fourier.h"

#include <fmt/format.h>

#include <cmath>
#include <numbers>

#include "engine/errors.h"
#include "engine/kernels/block_products.h"
#include "engine/kernels/fft.h"
#include "engine/op.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/matmul.h"

namespace lra::engine {
namespace {

/// 2 pi (a b mod n) / n.
double angle(int64_t a, int64_t b, int64_t n) {
  return 2 * std::numbers::pi * static_cast<double>(a * b % n) / static_cast<double>(n);
}

/// Along d by a product, along n by the fast transform, kFftColumns complex columns at a time. Those of the upper half
/// are the conjugates of the lower ones, rows in reverse: y[k, d - l] = Re Z[n - k, l].
class FusedKernel final : public Kernel {
 public:
  explicit FusedKernel(const KernelRequest& request)
      : n_(request.inputs[0].shape()[0]),
        d_(request.inputs[0].shape()[1]),
        groups_((d_ / 2 + 1 + kFftColumns - 1) / kFftColumns),
        fft_(n_),
        blocks_(n_, kBlockRows) {
    const int64_t x_stride = n_ > 1 ? request.inputs[0].stride(0) : d_;
    product_ = BlockProduct(blocks_, [&](int64_t rows) {
      return onednn::MatmulSpec{.m = rows,
                                .n = 2 * kFftColumns,
                                .k = d_,
                                .a_row_stride = x_stride,
                                .b_row_stride = 2 * kFftColumns,
                                .c_row_stride = 2 * kFftColumns};
    });
    // Of each group of columns l: cos(2 pi l m / d), then -sin.
    tables_.assign(static_cast<size_t>(groups_ * d_ * 2 * kFftColumns), 0.0F);
    for (int64_t group = 0; group < groups_; ++group)
      for (int64_t m = 0; m < d_; ++m)
        for (int64_t c = 0; c < kFftColumns; ++c) {
          const double at = angle(m, group * kFftColumns + c, d_);
          float* row = tables_.data() + (group * d_ + m) * 2 * kFftColumns;
          row[c] = static_cast<float>(std::cos(at));
          row[kFftColumns + c] = static_cast<float>(-std::sin(at));
        }
    at_product_ = plan_.add_floats(blocks_.block_rows() * 2 * kFftColumns);
    for (size_t& place : at_buffers_) place = plan_.add_floats(fft_.buffer_rows() * kFftColumns);
    at_scratch_ = plan_.add_bytes(product_.scratch_bytes());
  }

  size_t scratch_bytes() const override { return plan_.bytes(); }

  void run(const KernelArguments& arguments) const override {
    const View &x = arguments.inputs[0], &y = arguments.outputs[0];
    float* made = floats_at(arguments.scratch, at_product_);
    const auto buffer = [&](size_t i) { return floats_at(arguments.scratch, at_buffers_[i]); };
    for (int64_t group = 0; group < groups_; ++group) {
      const FftRows in{buffer(0), buffer(1)};
      for (int64_t i = 0; i < blocks_.count(); ++i) {
        const RowBlock block = blocks_[i];
        product_.run(block.rows, x.as<float>() + block.begin * x.stride(0),
                     tables_.data() + group * d_ * 2 * kFftColumns, made, arguments.scratch + at_scratch_);
        for (int64_t row = 0; row < block.rows; ++row) {
          std::copy_n(made + row * 2 * kFftColumns, kFftColumns, in.re + (block.begin + row) * kFftColumns);
          std::copy_n(made + (row * 2 + 1) * kFftColumns, kFftColumns, in.im + (block.begin + row) * kFftColumns);
        }
      }
      write(fft_.run(in, {buffer(2), buffer(3)}).re, group, y);
    }
  }

 private:
  static constexpr int64_t kBlockRows = 256;

  void write(const float* re, int64_t group, const View& y) const {
    const int64_t first = group * kFftColumns, count = std::min(kFftColumns, d_ / 2 + 1 - first);
    for (int64_t k = 0; k < n_; ++k) {
      const float* here = re + k * kFftColumns;
      const float* mirrored = re + (n_ - k) % n_ * kFftColumns;
      float* row = y.as<float>() + k * y.stride(0);
      std::copy_n(here, count, row + first);
      for (int64_t c = 0; c < count; ++c)
        if (const int64_t l = first + c; l > 0 && d_ - l > d_ / 2) row[d_ - l] = mirrored[c];
    }
  }

  int64_t n_, d_, groups_;
  RowFft fft_;
  RowBlocks blocks_;
  BlockProduct product_;
  std::vector<float> tables_;  // [groups, d, 2 kFftColumns]
  ScratchPlan plan_;
  size_t at_product_ = 0, at_scratch_ = 0;
  size_t at_buffers_[4] = {};
};

class FourierMixOp final : public Op {
 public:
  std::string_view name() const override { return "fourier_mix"; }
  std::vector<Type> infer(std::span<const Type> inputs) const override { return {inputs[0]}; }
  std::unique_ptr<Kernel> kernel(const KernelRequest& request) const override {
    return std::make_unique<FusedKernel>(request);
  }
  std::vector<Var> vjp(const VjpArguments& arguments) const override {
    return {fourier_mix(arguments.output_gradients[0])};
  }
  int64_t product_flops(std::span<const Type> inputs) const override {
    const Shape& x = inputs[0].shape;
    return fourier_mix_flops(x[0], x[1]);
  }
};

/// cos or sin of 2 pi a b / n, [n, n].
Var table(Graph& graph, int64_t n, double (*f)(double)) {
  std::vector<double> values(static_cast<size_t>(n * n));
  for (int64_t a = 0; a < n; ++a)
    for (int64_t b = 0; b < n; ++b) values[static_cast<size_t>(a * n + b)] = f(angle(a, b, n));
  return graph.constant("fourier", {n, n}, std::move(values));
}

}  // namespace

int64_t fourier_mix_flops(int64_t n, int64_t d) {
  return std::llround(2.5 * static_cast<double>(n * d) * std::log2(static_cast<double>(n * d)));
}

Var fourier_mix(Var x) {
  LRA_CHECK(x.shape().rank() == 2, fmt::format("[fourier_mix] {} is not [n, d]", x.shape().to_string()));
  Graph& graph = x.graph();
  if (graph.use_fused()) return graph.apply1(std::make_shared<const FourierMixOp>(), {x});
  const int64_t n = x.shape()[0], d = x.shape()[1];
  const auto both = [&](double (*f)(double)) { return matmul(matmul(table(graph, n, f), x), table(graph, d, f)); };
  return subtract(both(std::cos), both(std::sin));
}

}  // namespace lra::engine
