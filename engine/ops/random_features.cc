#include "engine/ops/random_features.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "engine/errors.h"
#include "engine/kernels/block_products.h"
#include "engine/op.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/matmul.h"
#include "engine/ops/reduce.h"
#include "engine/ops/shape.h"

namespace lra::engine {
namespace {

class StopGradientOp final : public ViewOp {
 public:
  std::string_view name() const override { return "stop_gradient"; }
  std::vector<Type> infer(std::span<const Type> inputs) const override { return {inputs[0]}; }
  std::optional<Layout> view(const Layout& input, size_t) const override { return input; }
  std::vector<Var> vjp(const VjpArguments&) const override { return {Var()}; }
};

/// Directions into `rows`: [m, d], with nothing allocated.
void draw(uint64_t seed, uint64_t site, uint64_t number, int64_t m, int64_t d, bool orthogonal, double* rows) {
  Stream stream(mix_key({seed, static_cast<uint64_t>(Purpose::features), site, number}));
  for (int64_t begin = 0; begin < m; begin += d) {
    const int64_t count = std::min(d, m - begin);
    double* block = rows + begin * d;
    for (int64_t i = 0; i < count * d; ++i) block[i] = stream.normal();
    if (!orthogonal) continue;
    for (int64_t i = 0; i < count; ++i) {
      double* row = block + i * d;
      const double length = std::sqrt(std::inner_product(row, row + d, row, 0.0));
      // Twice: once leaves what rounding makes of vectors that are nearly dependent.
      for (int pass = 0; pass < 2; ++pass)
        for (int64_t j = 0; j < i; ++j) {
          const double* other = block + j * d;
          const double along =
              std::inner_product(row, row + d, other, 0.0) / std::inner_product(other, other + d, other, 0.0);
          for (int64_t a = 0; a < d; ++a) row[a] -= along * other[a];
        }
      const double rest = std::sqrt(std::inner_product(row, row + d, row, 0.0));
      for (int64_t a = 0; a < d; ++a) row[a] *= length / rest;
    }
  }
}

template <class T>
class DirectionsKernel final : public Kernel {
 public:
  DirectionsKernel(uint64_t site, bool orthogonal, int64_t redraw_steps, const Shape& shape)
      : site_(site), orthogonal_(orthogonal), redraw_steps_(redraw_steps), m_(shape[0]), d_(shape[1]) {}
  size_t scratch_bytes() const override { return static_cast<size_t>(m_ * d_) * sizeof(double); }
  void run(const KernelArguments& arguments) const override {
    auto* rows = reinterpret_cast<double*>(arguments.scratch);
    draw(arguments.keys.seed, site_, arguments.keys.step / static_cast<uint64_t>(redraw_steps_), m_, d_, orthogonal_,
         rows);
    const View& out = arguments.outputs[0];
    for (int64_t row = 0; row < m_; ++row)
      std::transform(rows + row * d_, rows + (row + 1) * d_, out.as<T>() + row * out.stride(0),
                     [](double value) { return static_cast<T>(value); });
  }

 private:
  uint64_t site_;
  bool orthogonal_;
  int64_t redraw_steps_, m_, d_;
};

class DirectionsOp final : public Op {
 public:
  DirectionsOp(Type type, uint64_t site, bool orthogonal, int64_t redraw_steps)
      : type_(type), site_(site), orthogonal_(orthogonal), redraw_steps_(redraw_steps) {}
  std::string_view name() const override { return "random_directions"; }
  std::vector<Type> infer(std::span<const Type>) const override { return {type_}; }
  std::unique_ptr<Kernel> kernel(const KernelRequest&) const override {
    if (type_.dtype == Dtype::f64)
      return std::make_unique<DirectionsKernel<double>>(site_, orthogonal_, redraw_steps_, type_.shape);
    return std::make_unique<DirectionsKernel<float>>(site_, orthogonal_, redraw_steps_, type_.shape);
  }
  std::vector<Var> vjp(const VjpArguments&) const override { return {}; }

 private:
  Type type_;
  uint64_t site_;
  bool orthogonal_;
  int64_t redraw_steps_;
};

/// Exponents of a block of rows at a time, made again where they are needed.
class LargestExponentKernel final : public Kernel {
 public:
  explicit LargestExponentKernel(const KernelRequest& request)
      : blocks_(request.inputs[0].shape()[1], kBlockRows), m_(request.inputs[1].shape()[0]) {
    const View &x = request.inputs[0], &w = request.inputs[1];
    product_ = BlockProduct(blocks_, [&](int64_t rows) {
      return onednn::MatmulSpec{.m = rows,
                                .n = m_,
                                .k = x.shape()[2],
                                .a_row_stride = x.shape()[1] > 1 ? x.stride(1) : x.shape()[2],
                                .b_row_stride = m_ > 1 ? w.stride(0) : x.shape()[2],
                                .c_row_stride = m_,
                                .transpose_b = true};
    });
    at_exponents_ = plan_.add_floats(blocks_.block_rows() * m_);
    at_scratch_ = plan_.add_bytes(product_.scratch_bytes());
  }
  size_t scratch_bytes() const override { return plan_.bytes(); }

  void run(const KernelArguments& arguments) const override {
    const View &x = arguments.inputs[0], &mask = arguments.inputs[2], &out = arguments.outputs[0];
    float* exponents = floats_at(arguments.scratch, at_exponents_);
    for (int64_t head = 0; head < x.shape()[0]; ++head) {
      float largest = -std::numeric_limits<float>::infinity();
      for (int64_t i = 0; i < blocks_.count(); ++i) {
        const RowBlock block = blocks_[i];
        product_.run(block.rows, row_of(x, head, block.begin), arguments.inputs[1].as<float>(), exponents,
                     arguments.scratch + at_scratch_);
        for (int64_t row = 0; row < block.rows; ++row) {
          if (mask.as<float>()[block.begin + row] == 0.0F) continue;
          const float* at = row_of(x, head, block.begin + row);
          float square = 0;
#pragma omp simd reduction(+ : square)
          for (int64_t a = 0; a < x.shape()[2]; ++a) square += at[a] * at[a];
          const float* of_row = exponents + row * m_;
          constexpr int64_t kLanes = 16;
          float lanes[kLanes];
          std::fill_n(lanes, kLanes, -std::numeric_limits<float>::infinity());
          int64_t r = 0;
          for (; r + kLanes <= m_; r += kLanes)
#pragma omp simd
            for (int64_t l = 0; l < kLanes; ++l) lanes[l] = of_row[r + l] > lanes[l] ? of_row[r + l] : lanes[l];
          for (; r < m_; ++r) lanes[0] = std::max(lanes[0], of_row[r]);
          const float most = *std::max_element(lanes, lanes + kLanes);
          largest = std::max(largest, most - square / 2);
        }
      }
      out.as<float>()[head * out.stride(0)] = std::isfinite(largest) ? largest : 0.0F;
    }
  }

 private:
  static constexpr int64_t kBlockRows = 256;
  RowBlocks blocks_;
  int64_t m_;
  BlockProduct product_;
  ScratchPlan plan_;
  size_t at_exponents_ = 0, at_scratch_ = 0;
};

class LargestExponentOp final : public Op {
 public:
  std::string_view name() const override { return "largest_exponent"; }
  std::vector<Type> infer(std::span<const Type> inputs) const override {
    return {{inputs[0].dtype, {inputs[0].shape[0], 1, 1}}};
  }
  std::unique_ptr<Kernel> kernel(const KernelRequest& request) const override {
    return std::make_unique<LargestExponentKernel>(request);
  }
  std::vector<Var> vjp(const VjpArguments&) const override { return {Var(), Var(), Var()}; }
  Effort effort(std::span<const Type> inputs) const override {
    return {.repeated_flops = 2 * inputs[0].shape.elements() * inputs[1].shape[0]};
  }
};

}  // namespace

Var stop_gradient(Var x) { return x.graph().apply1(std::make_shared<const StopGradientOp>(), {x}); }

std::vector<double> random_directions(uint64_t seed, uint64_t site, uint64_t number, int64_t m, int64_t d,
                                      bool orthogonal) {
  std::vector<double> rows(static_cast<size_t>(m * d));
  draw(seed, site, number, m, d, orthogonal, rows.data());
  return rows;
}

Var redrawn_directions(Graph& graph, uint64_t site, int64_t m, int64_t d, bool orthogonal, int64_t redraw_steps) {
  LRA_CHECK(m > 0 && d > 0 && redraw_steps > 0,
            fmt::format("[redrawn_directions] [{}, {}] every {} steps", m, d, redraw_steps));
  const Type type{graph.dtype(), {m, d}};
  return graph.apply1(std::make_shared<const DirectionsOp>(type, site, orthogonal, redraw_steps), {});
}

Var largest_exponent(Var x, Var w, Var mask) {
  LRA_CHECK(x.shape().rank() == 3 && w.shape().rank() == 2 && w.shape()[1] == x.shape()[2] &&
                mask.shape() == Shape{x.shape()[1]},
            fmt::format("[largest_exponent] x {}, w {}, mask {} are not [h, n, d], [m, d], [n]", x.shape().to_string(),
                        w.shape().to_string(), mask.shape().to_string()));
  if (x.graph().use_fused()) return x.graph().apply1(std::make_shared<const LargestExponentOp>(), {x, w, mask});
  const Var exponents = subtract(matmul(x, w, false, true), affine(sum(square(x), 2, true), 0.5, 0));
  // Masked rows get what is below any exponent; should all be masked, 0.
  constexpr double kFarBelow = -1e30;
  const Var column = reshape(mask, {mask.shape()[0], 1});
  const Var masked = add(multiply(exponents, column), affine(column, -kFarBelow, kFarBelow));
  const Var largest = max(max(masked, 2, true), 1, true);
  return stop_gradient(multiply(largest, greater(largest, kFarBelow / 2)));
}

}  // namespace lra::engine
