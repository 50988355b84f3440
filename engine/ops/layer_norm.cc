#include "engine/ops/layer_norm.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "engine/errors.h"
#include "engine/op.h"
#include "engine/ops/planes.h"

namespace lra::engine {
namespace {

/// One row: what the forward pass makes of x, and the backward pass of x and dy.
template <class T>
struct ForwardRow {
  int64_t columns;
  const T* x;
  const T* gamma;
  const T* beta;
  T epsilon;
  T* y;
  T* mean;
  T* rstd;
};

template <class T>
struct BackwardRow {
  int64_t columns;
  const T* x;
  const T* dy;
  const T* gamma;
  T mean;
  T rstd;
  T* dx;
  T* dgamma;
  T* dbeta;
};

/// The definition, in the order of the formula.
struct PlainRows {
  template <class T>
  static void forward(const ForwardRow<T>& row) {
    const T columns = static_cast<T>(row.columns);
    T mean = 0, variance = 0;
    for (int64_t j = 0; j < row.columns; ++j) mean += row.x[j] / columns;
    for (int64_t j = 0; j < row.columns; ++j) variance += (row.x[j] - mean) * (row.x[j] - mean) / columns;
    *row.mean = mean;
    *row.rstd = 1 / std::sqrt(variance + row.epsilon);
    for (int64_t j = 0; j < row.columns; ++j) row.y[j] = row.gamma[j] * (row.x[j] - mean) * *row.rstd + row.beta[j];
  }

  /// With z = (x - mean) rstd and g = gamma dy: dx = rstd (g - mean(g) - z mean(g z)), dgamma += dy z, dbeta += dy.
  template <class T, bool kAccumulate>
  static void backward(const BackwardRow<T>& row) {
    const T columns = static_cast<T>(row.columns);
    T mean_g = 0, mean_gz = 0;
    for (int64_t j = 0; j < row.columns; ++j) {
      const T z = (row.x[j] - row.mean) * row.rstd;
      mean_g += row.gamma[j] * row.dy[j] / columns;
      mean_gz += row.gamma[j] * row.dy[j] * z / columns;
      row.dgamma[j] += row.dy[j] * z;
      row.dbeta[j] += row.dy[j];
    }
    for (int64_t j = 0; j < row.columns; ++j) {
      const T z = (row.x[j] - row.mean) * row.rstd;
      const T dx = row.rstd * (row.gamma[j] * row.dy[j] - mean_g - z * mean_gz);
      row.dx[j] = kAccumulate ? row.dx[j] + dx : dx;
    }
  }
};

/// The same with vector sums.
struct FastRows {
  template <class T>
  static void forward(const ForwardRow<T>& row) {
    const int64_t columns = row.columns;
    const T* x = row.x;
    const T* gamma = row.gamma;
    const T* beta = row.beta;
    T* y = row.y;
    const T per_column = 1 / static_cast<T>(columns);
    T sum = 0, squares = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < columns; ++j) sum += x[j];
    const T mean = sum * per_column;
#pragma omp simd reduction(+ : squares)
    for (int64_t j = 0; j < columns; ++j) squares += (x[j] - mean) * (x[j] - mean);
    const T rstd = 1 / std::sqrt(squares * per_column + row.epsilon);
    *row.mean = mean;
    *row.rstd = rstd;
#pragma omp simd
    for (int64_t j = 0; j < columns; ++j) y[j] = gamma[j] * ((x[j] - mean) * rstd) + beta[j];
  }

  template <class T, bool kAccumulate>
  static void backward(const BackwardRow<T>& row) {
    const int64_t columns = row.columns;
    const T* x = row.x;
    const T* dy = row.dy;
    const T* gamma = row.gamma;
    T* dx = row.dx;
    T* dgamma = row.dgamma;
    T* dbeta = row.dbeta;
    const T mean = row.mean, rstd = row.rstd, per_column = 1 / static_cast<T>(columns);
    T sum_g = 0, sum_gz = 0;
#pragma omp simd reduction(+ : sum_g, sum_gz)
    for (int64_t j = 0; j < columns; ++j) {
      const T z = (x[j] - mean) * rstd;
      const T g = gamma[j] * dy[j];
      sum_g += g;
      sum_gz += g * z;
      dgamma[j] += dy[j] * z;
      dbeta[j] += dy[j];
    }
    const T mean_g = sum_g * per_column, mean_gz = sum_gz * per_column;
#pragma omp simd
    for (int64_t j = 0; j < columns; ++j) {
      const T z = (x[j] - mean) * rstd;
      const T change = rstd * (gamma[j] * dy[j] - mean_g - z * mean_gz);
      dx[j] = kAccumulate ? dx[j] + change : change;
    }
  }
};

/// Inputs x, gamma, beta; outputs y, mean: [n], rstd: [n].
template <class T, class Rows>
class ForwardKernel final : public Kernel {
 public:
  explicit ForwardKernel(double epsilon) : epsilon_(static_cast<T>(epsilon)) {}

  void run(const KernelArguments& arguments) const override {
    const Planes<const T> x(arguments.inputs[0]);
    const Planes<T> y(arguments.outputs[0]);
    for (int64_t i = 0; i < x.rows; ++i) {
      Rows::template forward<T>({.columns = x.columns,
                                 .x = x.row(0, i),
                                 .gamma = arguments.inputs[1].as<const T>(),
                                 .beta = arguments.inputs[2].as<const T>(),
                                 .epsilon = epsilon_,
                                 .y = y.row(0, i),
                                 .mean = arguments.outputs[1].as<T>() + i,
                                 .rstd = arguments.outputs[2].as<T>() + i});
    }
  }

 private:
  T epsilon_;
};

/// Inputs x, gamma, mean, rstd, dy; outputs dx, dgamma, dbeta. The sums over rows run from the first row to the last in
/// scratch, so that they are the same numbers whether they overwrite or are added.
template <class T, class Rows>
class BackwardKernel final : public Kernel {
 public:
  explicit BackwardKernel(const KernelRequest& request) : columns_(request.inputs[0].shape()[1]) {
    std::copy_n(request.accumulate.begin(), accumulate_.size(), accumulate_.begin());
  }

  size_t scratch_bytes() const override { return static_cast<size_t>(2 * columns_) * sizeof(T); }

  void run(const KernelArguments& arguments) const override {
    T* dgamma = reinterpret_cast<T*>(arguments.scratch);
    T* dbeta = dgamma + columns_;
    std::fill_n(dgamma, 2 * columns_, T{0});
    if (accumulate_[0]) {
      run_rows<true>(arguments, dgamma, dbeta);
    } else {
      run_rows<false>(arguments, dgamma, dbeta);
    }
    store(dgamma, accumulate_[1], arguments.outputs[1].as<T>());
    store(dbeta, accumulate_[2], arguments.outputs[2].as<T>());
  }

 private:
  template <bool kAccumulate>
  static void run_rows(const KernelArguments& arguments, T* dgamma, T* dbeta) {
    const Planes<const T> x(arguments.inputs[0]), dy(arguments.inputs[4]);
    const Planes<T> dx(arguments.outputs[0]);
    for (int64_t i = 0; i < x.rows; ++i) {
      Rows::template backward<T, kAccumulate>({.columns = x.columns,
                                               .x = x.row(0, i),
                                               .dy = dy.row(0, i),
                                               .gamma = arguments.inputs[1].as<const T>(),
                                               .mean = arguments.inputs[2].as<const T>()[i],
                                               .rstd = arguments.inputs[3].as<const T>()[i],
                                               .dx = dx.row(0, i),
                                               .dgamma = dgamma,
                                               .dbeta = dbeta});
    }
  }

  void store(const T* sum, bool accumulate, T* output) const {
    for (int64_t j = 0; j < columns_; ++j) output[j] = accumulate ? output[j] + sum[j] : sum[j];
  }

  int64_t columns_;
  std::array<bool, 3> accumulate_{};
};

class LayerNormBackwardOp final : public Op {
 public:
  std::string_view name() const override { return "layer_norm_backward"; }
  RowRoles row_roles(std::span<const Type>) const override {
    return {{RowRole::rows, RowRole::whole, RowRole::rows, RowRole::rows, RowRole::rows},
            {RowRole::rows, RowRole::summed, RowRole::summed}};
  }
  std::vector<Type> infer(std::span<const Type> inputs) const override { return {inputs[0], inputs[1], inputs[1]}; }
  bool accumulates(size_t) const override { return true; }

  std::unique_ptr<Kernel> kernel(const KernelRequest& request) const override {
    if (request.inputs[0].dtype == Dtype::f64) return std::make_unique<BackwardKernel<double, PlainRows>>(request);
    if (request.kernels == Kernels::plain) return std::make_unique<BackwardKernel<float, PlainRows>>(request);
    return std::make_unique<BackwardKernel<float, FastRows>>(request);
  }

  std::vector<Var> vjp(const VjpArguments&) const override {
    LRA_CHECK(false, "layer_norm_backward has no gradient of its own");
    return {};
  }
};

/// Inputs x, gamma, beta, mean, rstd of an earlier ForwardKernel; output y again.
class NormalizeKernel final : public Kernel {
  void run(const KernelArguments& arguments) const override {
    const Planes<const float> x(arguments.inputs[0]);
    const Planes<float> y(arguments.outputs[0]);
    const auto* gamma = arguments.inputs[1].as<const float>();
    const auto* beta = arguments.inputs[2].as<const float>();
    for (int64_t i = 0; i < x.rows; ++i) {
      const float* from = x.row(0, i);
      float* to = y.row(0, i);
      const float mean = arguments.inputs[3].as<const float>()[i], rstd = arguments.inputs[4].as<const float>()[i];
#pragma omp simd
      for (int64_t j = 0; j < x.columns; ++j) to[j] = gamma[j] * ((from[j] - mean) * rstd) + beta[j];
    }
  }
};

class NormalizeOp final : public Op {
 public:
  std::string_view name() const override { return "layer_norm_again"; }
  RowRoles row_roles(std::span<const Type>) const override {
    return {{RowRole::rows, RowRole::whole, RowRole::whole, RowRole::rows, RowRole::rows}, {RowRole::rows}};
  }
  std::vector<Type> infer(std::span<const Type> inputs) const override { return {inputs[0]}; }
  std::unique_ptr<Kernel> kernel(const KernelRequest& request) const override {
    LRA_CHECK(request.inputs[0].dtype == Dtype::f32, "layer_norm_again is fused, f32 only");
    return std::make_unique<NormalizeKernel>();
  }
  std::vector<Var> vjp(const VjpArguments&) const override {
    LRA_CHECK(false, "layer_norm_again has no gradient of its own");
    return {};
  }
};

class LayerNormOp final : public Op {
 public:
  explicit LayerNormOp(double epsilon) : epsilon_(epsilon) {}

  std::string_view name() const override { return "layer_norm"; }
  RowRoles row_roles(std::span<const Type>) const override {
    return {{RowRole::rows, RowRole::whole, RowRole::whole}, {RowRole::rows, RowRole::rows, RowRole::rows}};
  }
  std::vector<Type> infer(std::span<const Type> inputs) const override {
    const Type per_row{inputs[0].dtype, {inputs[0].shape[0]}};
    return {inputs[0], per_row, per_row};
  }

  std::unique_ptr<Kernel> kernel(const KernelRequest& request) const override {
    if (request.inputs[0].dtype == Dtype::f64) return std::make_unique<ForwardKernel<double, PlainRows>>(epsilon_);
    if (request.kernels == Kernels::plain) return std::make_unique<ForwardKernel<float, PlainRows>>(epsilon_);
    return std::make_unique<ForwardKernel<float, FastRows>>(epsilon_);
  }

  std::optional<Remade> remake(std::span<const Var> inputs, std::span<const Var> outputs) const override {
    const Var y = inputs[0].graph().apply1(std::make_shared<const NormalizeOp>(),
                                           {inputs[0], inputs[1], inputs[2], outputs[1], outputs[2]});
    return Remade{.outputs = {y, outputs[1], outputs[2]}, .extra = {}};
  }

  std::vector<Var> vjp(const VjpArguments& arguments) const override {
    const Var x = arguments.inputs[0];
    const Var gamma = arguments.inputs[1];
    const std::array<Var, 5> inputs = {x, gamma, arguments.outputs[1], arguments.outputs[2],
                                       arguments.output_gradients[0]};
    return x.graph().apply(std::make_shared<const LayerNormBackwardOp>(), inputs);
  }

 private:
  double epsilon_;
};

}  // namespace

Var layer_norm(Var x, Var gamma, Var beta, double epsilon) {
  LRA_CHECK(x.dtype() != Dtype::i32 && x.shape().rank() == 2 && x.shape()[1] > 0,
            fmt::format("[layer_norm] x is {}, not [n, d]", x.shape().to_string()));
  const Type per_column{x.dtype(), {x.shape()[1]}};
  LRA_CHECK(gamma.type() == per_column && beta.type() == per_column,
            fmt::format("[layer_norm] gamma {} and beta {} are not [{}]", gamma.shape().to_string(),
                        beta.shape().to_string(), x.shape()[1]));
  const std::array<Var, 3> inputs = {x, gamma, beta};
  return x.graph().apply(std::make_shared<const LayerNormOp>(epsilon), inputs).front();
}

}  // namespace lra::engine
