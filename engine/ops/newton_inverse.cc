#include "engine/ops/newton_inverse.h"

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

/// y = x + ridge I, and its first approximate inverse v = 1.8 y / s^2. m x m, contiguous but for x.
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
  const T alpha = static_cast<T>(1.8) / (largest * largest);
  for (int64_t i = 0; i < m * m; ++i) v[i] = alpha * y[i];
}

/// The definition, two Eigen products an iteration.
template <class T>
class PlainKernel final : public Kernel {
 public:
  PlainKernel(const KernelRequest& request, const NewtonInverseParams& params)
      : params_(params), m_(request.inputs[0].shape()[1]) {
    for (size_t* place : {&at_y_, &at_v_, &at_product_})
      *place = plan_.add_bytes(static_cast<size_t>(m_ * m_) * sizeof(T));
  }

  size_t scratch_bytes() const override { return plan_.bytes(); }

  void run(const KernelArguments& arguments) const override {
    const View &p = arguments.inputs[0], &out = arguments.outputs[0];
    const auto matrix = [&](size_t place) { return Matrix(reinterpret_cast<T*>(arguments.scratch + place), m_, m_); };
    Matrix y = matrix(at_y_), v = matrix(at_v_), product = matrix(at_product_);
    for (int64_t head = 0; head < p.shape()[0]; ++head) {
      begin_iteration(p.as<T>() + head * p.stride(0), p.stride(1), m_, static_cast<T>(params_.ridge), y.data(),
                      v.data());
      Rows next(out.as<T>() + head * out.stride(0), m_, m_, Eigen::OuterStride<>(out.stride(1)));
      for (int64_t i = 0; i < params_.iterations; ++i) {
        product.noalias() = v * y;
        next = 2 * v;
        next.noalias() -= product * v;
        v = next;
      }
    }
  }

 private:
  using Dense = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  using Matrix = Eigen::Map<Dense>;
  using Rows = Eigen::Map<Dense, Eigen::Unaligned, Eigen::OuterStride<>>;
  NewtonInverseParams params_;
  int64_t m_;
  ScratchPlan plan_;
  size_t at_y_ = 0, at_v_ = 0, at_product_ = 0;
};

/// The same with the library's products, which are all of its cost.
class FusedKernel final : public Kernel {
 public:
  FusedKernel(const KernelRequest& request, const NewtonInverseParams& params)
      : params_(params), m_(request.inputs[0].shape()[1]) {
    onednn::MatmulSpec spec{.m = m_, .n = m_, .k = m_, .a_row_stride = m_, .b_row_stride = m_, .c_row_stride = m_};
    product_ = onednn::Matmul::find(spec);
    for (size_t* place : {&at_y_, &at_v_, &at_next_, &at_product_}) *place = plan_.add_floats(m_ * m_);
    at_scratch_ = plan_.add_bytes(product_->scratch_bytes());
  }

  size_t scratch_bytes() const override { return plan_.bytes(); }

  void run(const KernelArguments& arguments) const override {
    const View &p = arguments.inputs[0], &out = arguments.outputs[0];
    float* y = floats_at(arguments.scratch, at_y_);
    float* product = floats_at(arguments.scratch, at_product_);
    std::byte* scratch = arguments.scratch + at_scratch_;
    for (int64_t head = 0; head < p.shape()[0]; ++head) {
      float* v = floats_at(arguments.scratch, at_v_);
      float* next = floats_at(arguments.scratch, at_next_);
      begin_iteration(row_of(p, head, 0), p.stride(1), m_, static_cast<float>(params_.ridge), y, v);
      for (int64_t i = 0; i < params_.iterations; ++i) {
        product_->run(v, y, nullptr, product, scratch);
        product_->run(product, v, nullptr, next, scratch);
#pragma omp simd
        for (int64_t j = 0; j < m_ * m_; ++j) next[j] = 2 * v[j] - next[j];
        std::swap(v, next);
      }
      for (int64_t row = 0; row < m_; ++row) std::copy_n(v + row * m_, m_, row_of(out, head, row));
    }
  }

 private:
  NewtonInverseParams params_;
  int64_t m_;
  std::shared_ptr<const onednn::Matmul> product_;
  ScratchPlan plan_;
  size_t at_y_ = 0, at_v_ = 0, at_next_ = 0, at_product_ = 0, at_scratch_ = 0;
};

class NewtonInverseOp final : public Op {
 public:
  explicit NewtonInverseOp(const NewtonInverseParams& params) : params_(params) {}
  std::string_view name() const override { return "newton_inverse"; }
  std::vector<Type> infer(std::span<const Type> inputs) const override { return {inputs[0]}; }
  std::unique_ptr<Kernel> kernel(const KernelRequest& request) const override {
    if (request.inputs[0].dtype == Dtype::f64) return std::make_unique<PlainKernel<double>>(request, params_);
    if (request.kernels == Kernels::plain) return std::make_unique<PlainKernel<float>>(request, params_);
    return std::make_unique<FusedKernel>(request, params_);
  }
  int64_t product_flops(std::span<const Type> inputs) const override {
    const Shape& p = inputs[0].shape;
    return params_.iterations * 2 * 2 * p.elements() * p[2];
  }
  std::vector<Var> vjp(const VjpArguments& arguments) const override {
    const Var y = arguments.outputs[0], g = arguments.output_gradients[0];
    return {affine(matmul(matmul(y, g, true, false), y, false, true), -1, 0)};
  }

 private:
  NewtonInverseParams params_;
};

}  // namespace

Var newton_inverse(Var p, const NewtonInverseParams& params) {
  LRA_CHECK(p.shape().rank() == 3 && p.shape()[1] == p.shape()[2],
            fmt::format("[newton_inverse] {} is not [h, m, m]", p.shape().to_string()));
  LRA_CHECK(params.iterations > 0 && params.ridge >= 0,
            fmt::format("[newton_inverse] {} iterations, ridge {}", params.iterations, params.ridge));
  return p.graph().apply1(std::make_shared<const NewtonInverseOp>(params), {p});
}

}  // namespace lra::engine
