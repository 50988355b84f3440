#include "engine/ops/newton_solve.h"

#include <fmt/format.h>

#include <Eigen/Core>
#include <algorithm>
#include <cmath>

#include "engine/errors.h"
#include "engine/kernels/block_products.h"
#include "engine/op.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/matmul.h"

namespace lra::engine {
namespace {

/// y = x + ridge I, and its first approximate inverse v = 1.8 / s I. m x m, contiguous but for x.
template <class T>
void begin_iteration(const T* x, int64_t x_stride, int64_t m, T ridge, T* y, T* v) {
  T largest = 0;
  for (int64_t i = 0; i < m; ++i) {
    std::copy_n(x + i * x_stride, m, y + i * m);
    y[i * m + i] += ridge;
    T sum = 0;
    for (int64_t j = 0; j < m; ++j) sum += std::abs(y[i * m + j]);
    largest = std::max(largest, sum);
  }
  std::fill_n(v, m * m, T{0});
  for (int64_t i = 0; i < m; ++i) v[i * m + i] = static_cast<T>(1.8) / largest;
}

template <class T>
using Dense = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
template <class T>
using Square = Eigen::Map<Dense<T>>;
template <class T>
using Rows = Eigen::Map<Dense<T>, Eigen::Unaligned, Eigen::OuterStride<>>;

/// One head of a view as a matrix.
template <class T>
Rows<T> head_of(const View& view, int64_t head) {
  return Rows<T>(view.as<T>() + head * view.stride(0), view.shape()[1], view.shape()[2],
                 Eigen::OuterStride<>(view.stride(1)));
}

/// v <- 2v - v y v, with `product` and `next` as scratch.
template <class T>
void iterate(const Square<T>& y, Square<T>& v, Square<T>& product, Square<T>& next) {
  product.noalias() = v * y;
  next = 2 * v;
  next.noalias() -= product * v;
  v = next;
}

/// The definition, two Eigen products an iteration.
template <class T>
class PlainKernel final : public Kernel {
 public:
  PlainKernel(const KernelRequest& request, const NewtonSolveParams& params)
      : params_(params), m_(request.inputs[0].shape()[1]) {
    for (size_t* place : {&at_y_, &at_v_, &at_product_, &at_next_})
      *place = plan_.add_bytes(static_cast<size_t>(m_ * m_) * sizeof(T));
  }

  size_t scratch_bytes() const override { return plan_.bytes(); }

  void run(const KernelArguments& arguments) const override {
    const View &p = arguments.inputs[0], &u = arguments.inputs[1];
    const auto matrix = [&](size_t place) {
      return Square<T>(reinterpret_cast<T*>(arguments.scratch + place), m_, m_);
    };
    Square<T> y = matrix(at_y_), v = matrix(at_v_), product = matrix(at_product_), next = matrix(at_next_);
    for (int64_t head = 0; head < p.shape()[0]; ++head) {
      begin_iteration(p.as<T>() + head * p.stride(0), p.stride(1), m_, static_cast<T>(params_.ridge), y.data(),
                      v.data());
      for (int64_t i = 0; i < params_.iterations; ++i) iterate(y, v, product, next);
      head_of<T>(arguments.outputs[0], head).noalias() = v * head_of<T>(u, head);
      head_of<T>(arguments.outputs[1], head) = v;
    }
  }

 private:
  NewtonSolveParams params_;
  int64_t m_;
  ScratchPlan plan_;
  size_t at_y_ = 0, at_v_ = 0, at_product_ = 0, at_next_ = 0;
};

/// The library's products for all iterations but the last, which is in double precision: an iteration squares the
/// relative error, so what single precision made of an ill-conditioned matrix (1e-3, say) is gone after it.
class FusedKernel final : public Kernel {
 public:
  FusedKernel(const KernelRequest& request, const NewtonSolveParams& params)
      : params_(params), m_(request.inputs[0].shape()[1]), d_(request.inputs[1].shape()[2]) {
    onednn::MatmulSpec spec{.m = m_, .n = m_, .k = m_, .a_row_stride = m_, .b_row_stride = m_, .c_row_stride = m_};
    product_ = onednn::Matmul::find(spec);
    for (size_t* place : {&at_y_, &at_v_, &at_next_, &at_product_}) *place = plan_.add_floats(m_ * m_);
    for (size_t* place : {&at_wide_y_, &at_wide_v_, &at_wide_product_, &at_wide_next_})
      *place = plan_.add_bytes(static_cast<size_t>(m_ * m_) * sizeof(double));
    for (size_t* place : {&at_u_, &at_w_}) *place = plan_.add_bytes(static_cast<size_t>(m_ * d_) * sizeof(double));
    at_scratch_ = plan_.add_bytes(product_->scratch_bytes());
  }

  size_t scratch_bytes() const override { return plan_.bytes(); }

  void run(const KernelArguments& arguments) const override {
    const View& p = arguments.inputs[0];
    float* y = floats_at(arguments.scratch, at_y_);
    float* product = floats_at(arguments.scratch, at_product_);
    for (int64_t head = 0; head < p.shape()[0]; ++head) {
      float* v = floats_at(arguments.scratch, at_v_);
      float* next = floats_at(arguments.scratch, at_next_);
      begin_iteration(row_of(p, head, 0), p.stride(1), m_, static_cast<float>(params_.ridge), y, v);
      for (int64_t i = 0; i + 1 < params_.iterations; ++i) {
        product_->run(v, y, nullptr, product, arguments.scratch + at_scratch_);
        product_->run(product, v, nullptr, next, arguments.scratch + at_scratch_);
#pragma omp simd
        for (int64_t j = 0; j < m_ * m_; ++j) next[j] = 2 * v[j] - next[j];
        std::swap(v, next);
      }
      finish(arguments, head, v);
    }
  }

 private:
  /// The last iteration, from v, and the results.
  void finish(const KernelArguments& arguments, int64_t head, float* v) const {
    const auto wide = [&](size_t place, int64_t columns) {
      return Square<double>(reinterpret_cast<double*>(arguments.scratch + place), m_, columns);
    };
    Square<double> y = wide(at_wide_y_, m_), x = wide(at_wide_v_, m_);
    Square<double> product = wide(at_wide_product_, m_), next = wide(at_wide_next_, m_);
    Square<double> u = wide(at_u_, d_), w = wide(at_w_, d_);
    y = head_of<float>(arguments.inputs[0], head).cast<double>();
    y.diagonal().array() += params_.ridge;
    x = Square<float>(v, m_, m_).cast<double>();
    iterate(y, x, product, next);
    u = head_of<float>(arguments.inputs[1], head).cast<double>();
    w.noalias() = x * u;
    head_of<float>(arguments.outputs[0], head) = w.cast<float>();
    head_of<float>(arguments.outputs[1], head) = x.cast<float>();
  }

  NewtonSolveParams params_;
  int64_t m_, d_;
  std::shared_ptr<const onednn::Matmul> product_;
  ScratchPlan plan_;
  size_t at_y_ = 0, at_v_ = 0, at_next_ = 0, at_product_ = 0, at_scratch_ = 0;
  size_t at_wide_y_ = 0, at_wide_v_ = 0, at_wide_product_ = 0, at_wide_next_ = 0, at_u_ = 0, at_w_ = 0;
};

/// Outputs: the solution, and the inverse for the gradient.
class NewtonSolveOp final : public Op {
 public:
  explicit NewtonSolveOp(const NewtonSolveParams& params) : params_(params) {}
  std::string_view name() const override { return "newton_solve"; }
  std::vector<Type> infer(std::span<const Type> inputs) const override { return {inputs[1], inputs[0]}; }
  std::unique_ptr<Kernel> kernel(const KernelRequest& request) const override {
    if (request.inputs[0].dtype == Dtype::f64) return std::make_unique<PlainKernel<double>>(request, params_);
    if (request.kernels == Kernels::plain) return std::make_unique<PlainKernel<float>>(request, params_);
    return std::make_unique<FusedKernel>(request, params_);
  }
  int64_t product_flops(std::span<const Type> inputs) const override {
    const Shape &p = inputs[0].shape, &u = inputs[1].shape;
    return 2 * p.elements() * (params_.iterations * 2 * p[2] + u[2]);
  }
  std::vector<Var> vjp(const VjpArguments& arguments) const override {
    LRA_CHECK(!arguments.output_gradients[1].valid(), "[newton_solve] the inverse is not for use outside");
    const Var du = matmul(arguments.outputs[1], arguments.output_gradients[0], true, false);
    Var dp;
    if (arguments.needed[0]) dp = affine(matmul(du, arguments.outputs[0], false, true), -1, 0);
    return {dp, du};
  }

 private:
  NewtonSolveParams params_;
};

}  // namespace

Var newton_solve(Var p, Var u, const NewtonSolveParams& params) {
  LRA_CHECK(p.shape().rank() == 3 && p.shape()[1] == p.shape()[2],
            fmt::format("[newton_solve] {} is not [h, m, m]", p.shape().to_string()));
  LRA_CHECK(u.shape().rank() == 3 && u.shape()[0] == p.shape()[0] && u.shape()[1] == p.shape()[1],
            fmt::format("[newton_solve] {} is not [h, m, d] for {}", u.shape().to_string(), p.shape().to_string()));
  LRA_CHECK(params.iterations > 0 && params.ridge >= 0,
            fmt::format("[newton_solve] {} iterations, ridge {}", params.iterations, params.ridge));
  const Var inputs[] = {p, u};
  return p.graph().apply(std::make_shared<const NewtonSolveOp>(params), inputs)[0];
}

}  // namespace lra::engine
