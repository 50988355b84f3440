#include "engine/ops/elementwise.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "engine/errors.h"
#include "engine/kernels/rows.h"
#include "engine/kernels/vmath.h"
#include "engine/op.h"
#include "engine/ops/reduce.h"
#include "engine/ops/shape.h"

namespace lra::engine {
namespace {

enum class Binary { add, subtract, multiply, divide };
enum class Unary {
  affine,
  relu,
  exp,
  log,
  sqrt,
  square,
  reciprocal,
  tanh,
  sigmoid,
  elu,
  elu_slope,
  clamp_min,
  greater
};

Shape broadcast_shape(const Shape& a, const Shape& b) {
  const int rank = std::max(a.rank(), b.rank());
  std::array<int64_t, kMaxRank> dims{};
  for (int axis = -1; axis >= -rank; --axis) {
    const int64_t extent_a = -axis <= a.rank() ? a[axis] : 1;
    const int64_t extent_b = -axis <= b.rank() ? b[axis] : 1;
    LRA_CHECK(extent_a == extent_b || extent_a == 1 || extent_b == 1,
              fmt::format("{} and {} do not broadcast", a.to_string(), b.to_string()));
    dims[static_cast<size_t>(rank + axis)] = std::max(extent_a, extent_b);
  }
  return Shape(std::span(dims.data(), static_cast<size_t>(rank)));
}

template <Binary kOp, class T>
T binary(T a, T b) {
  if constexpr (kOp == Binary::add) return a + b;
  if constexpr (kOp == Binary::subtract) return a - b;
  if constexpr (kOp == Binary::multiply) return a * b;
  if constexpr (kOp == Binary::divide) return a / b;
}

/// One row: strides of a and b are 0 (repeated) or 1.
template <Binary kOp, class T>
void binary_row(const T* a, int64_t a_stride, const T* b, int64_t b_stride, T* y, int64_t count) {
  if (a_stride == 1 && b_stride == 1) {
#pragma omp simd
    for (int64_t i = 0; i < count; ++i) y[i] = binary<kOp>(a[i], b[i]);
  } else if (a_stride == 1) {
    const T value = *b;
#pragma omp simd
    for (int64_t i = 0; i < count; ++i) y[i] = binary<kOp>(a[i], value);
  } else {
    const T value = *a;
    for (int64_t i = 0; i < count; ++i) y[i] = binary<kOp>(value, b[i * b_stride]);
  }
}

template <Binary kOp, class T>
class BinaryKernel final : public Kernel {
  void run(const KernelArguments& arguments) const override {
    const View& a = arguments.inputs[0];
    const View& b = arguments.inputs[1];
    const View& y = arguments.outputs[0];
    const BroadcastRows rows_a(a, y.shape()), rows_b(b, y.shape()), rows_y(y, y.shape());
    const int64_t a_stride = rows_a.inner_stride(), b_stride = rows_b.inner_stride();
    for_each_row(y.shape(), [&](const RowIndex& at) {
      binary_row<kOp>(rows_a.row<const T>(at), a_stride, rows_b.row<const T>(at), b_stride, rows_y.row<T>(at),
                      y.shape().rank() == 0 ? 1 : y.shape()[-1]);
    });
  }
};

class BinaryOp final : public Op {
 public:
  explicit BinaryOp(Binary op) : op_(op) {}
  std::string_view name() const override {
    constexpr std::string_view kNames[] = {"add", "subtract", "multiply", "divide"};
    return kNames[static_cast<size_t>(op_)];
  }
  std::vector<Type> infer(std::span<const Type> inputs) const override {
    return {{inputs[0].dtype, broadcast_shape(inputs[0].shape, inputs[1].shape)}};
  }
  RowRoles row_roles(std::span<const Type> inputs) const override {
    return elementwise_roles(inputs, broadcast_shape(inputs[0].shape, inputs[1].shape));
  }
  std::unique_ptr<Kernel> kernel(const KernelRequest& request) const override {
    return request.inputs[0].dtype == Dtype::f64 ? make<double>() : make<float>();
  }
  std::vector<Var> vjp(const VjpArguments& arguments) const override {
    const Var a = arguments.inputs[0], b = arguments.inputs[1], g = arguments.output_gradients[0];
    Var da, db;
    switch (op_) {
      case Binary::add:
        da = g, db = g;
        break;
      case Binary::subtract:
        da = g;
        if (arguments.needed[1]) db = affine(g, -1, 0);
        break;
      case Binary::multiply:
        if (arguments.needed[0]) da = engine::multiply(g, b);
        if (arguments.needed[1]) db = engine::multiply(g, a);
        break;
      case Binary::divide:
        da = engine::divide(g, b);
        if (arguments.needed[1]) db = affine(engine::multiply(da, arguments.outputs[0]), -1, 0);
        break;
    }
    return {arguments.needed[0] ? sum_to(da, a.shape()) : Var(), arguments.needed[1] ? sum_to(db, b.shape()) : Var()};
  }

 private:
  template <class T>
  std::unique_ptr<Kernel> make() const {
    switch (op_) {
      case Binary::add:
        return std::make_unique<BinaryKernel<Binary::add, T>>();
      case Binary::subtract:
        return std::make_unique<BinaryKernel<Binary::subtract, T>>();
      case Binary::multiply:
        return std::make_unique<BinaryKernel<Binary::multiply, T>>();
      case Binary::divide:
        return std::make_unique<BinaryKernel<Binary::divide, T>>();
    }
    return nullptr;
  }
  Binary op_;
};

struct UnaryParams {
  double a = 0;
  double b = 0;
};

double exp_of(double x) { return std::exp(x); }
float exp_of(float x) { return exp_f32(x); }
double tanh_of(double x) { return std::tanh(x); }
float tanh_of(float x) { return tanh_f32(x); }

template <Unary kOp, class T>
T unary(T x, T a, T b) {
  if constexpr (kOp == Unary::affine) return a * x + b;
  if constexpr (kOp == Unary::relu) return x <= 0 ? T{0} : x;  // a NaN stays one
  if constexpr (kOp == Unary::exp) return exp_of(x);
  if constexpr (kOp == Unary::log) return std::log(x);
  if constexpr (kOp == Unary::sqrt) return std::sqrt(x);
  if constexpr (kOp == Unary::square) return x * x;
  if constexpr (kOp == Unary::reciprocal) return 1 / x;
  if constexpr (kOp == Unary::tanh) return tanh_of(x);
  if constexpr (kOp == Unary::sigmoid) return 1 / (1 + exp_of(-x));
  if constexpr (kOp == Unary::elu) return x > 0 ? x : exp_of(std::min(x, T{0})) - 1;
  if constexpr (kOp == Unary::elu_slope) return x > 0 ? T{1} : exp_of(std::min(x, T{0}));
  if constexpr (kOp == Unary::clamp_min) return x <= a ? a : x;
  if constexpr (kOp == Unary::greater) return x > a ? T{1} : T{0};
}

template <Unary kOp, class T>
class UnaryKernel final : public Kernel {
 public:
  explicit UnaryKernel(UnaryParams params) : a_(static_cast<T>(params.a)), b_(static_cast<T>(params.b)) {}
  void run(const KernelArguments& arguments) const override {
    const View& y = arguments.outputs[0];
    const BroadcastRows rows_x(arguments.inputs[0], y.shape()), rows_y(y, y.shape());
    const int64_t count = y.shape().rank() == 0 ? 1 : y.shape()[-1];
    for_each_row(y.shape(), [&](const RowIndex& at) {
      const T* x = rows_x.row<const T>(at);
      T* out = rows_y.row<T>(at);
      const T a = a_, b = b_;
#pragma omp simd
      for (int64_t i = 0; i < count; ++i) out[i] = unary<kOp>(x[i], a, b);
    });
  }

 private:
  T a_, b_;
};

class UnaryOp final : public Op {
 public:
  UnaryOp(Unary op, UnaryParams params) : op_(op), params_(params) {}
  std::string_view name() const override {
    constexpr std::string_view kNames[] = {"affine", "relu",    "exp", "log",       "sqrt",      "square", "reciprocal",
                                           "tanh",   "sigmoid", "elu", "elu_slope", "clamp_min", "greater"};
    return kNames[static_cast<size_t>(op_)];
  }
  std::vector<Type> infer(std::span<const Type> inputs) const override { return {inputs[0]}; }
  RowRoles row_roles(std::span<const Type> inputs) const override { return elementwise_roles(inputs, inputs[0].shape); }
  std::unique_ptr<Kernel> kernel(const KernelRequest& request) const override {
    return request.inputs[0].dtype == Dtype::f64 ? make<double>() : make<float>();
  }
  std::vector<Var> vjp(const VjpArguments& arguments) const override {
    const Var x = arguments.inputs[0], y = arguments.outputs[0], g = arguments.output_gradients[0];
    switch (op_) {
      case Unary::affine:
        return {affine(g, params_.a, 0)};
      case Unary::relu:
        return {engine::multiply(g, engine::greater(x, 0))};
      case Unary::exp:
        return {engine::multiply(g, y)};
      case Unary::log:
        return {engine::divide(g, x)};
      case Unary::sqrt:
        return {affine(engine::divide(g, y), 0.5, 0)};
      case Unary::square:
        return {affine(engine::multiply(g, x), 2, 0)};
      case Unary::reciprocal:
        return {affine(engine::multiply(g, engine::square(y)), -1, 0)};
      case Unary::tanh:
        return {engine::multiply(g, affine(engine::square(y), -1, 1))};
      case Unary::sigmoid:
        return {engine::multiply(g, engine::multiply(y, affine(y, -1, 1)))};
      case Unary::elu:
        return {engine::multiply(
            g, x.graph().apply1(std::make_shared<const UnaryOp>(Unary::elu_slope, UnaryParams{}), {x}))};
      case Unary::clamp_min:
        return {engine::multiply(g, engine::greater(x, params_.a))};
      case Unary::elu_slope:
      case Unary::greater:
        break;
    }
    return {Var()};
  }

 private:
  template <class T>
  std::unique_ptr<Kernel> make() const {
#define LRA_UNARY(op) \
  case Unary::op:     \
    return std::make_unique<UnaryKernel<Unary::op, T>>(params_)
    switch (op_) {
      LRA_UNARY(affine);
      LRA_UNARY(relu);
      LRA_UNARY(exp);
      LRA_UNARY(log);
      LRA_UNARY(sqrt);
      LRA_UNARY(square);
      LRA_UNARY(reciprocal);
      LRA_UNARY(tanh);
      LRA_UNARY(sigmoid);
      LRA_UNARY(elu);
      LRA_UNARY(elu_slope);
      LRA_UNARY(clamp_min);
      LRA_UNARY(greater);
    }
#undef LRA_UNARY
    return nullptr;
  }

  Unary op_;
  UnaryParams params_;
};

Var apply_unary(Unary op, Var x, double a = 0, double b = 0) {
  return x.graph().apply1(std::make_shared<const UnaryOp>(op, UnaryParams{a, b}), {x});
}

Var apply_binary(Binary op, Var a, Var b) {
  LRA_CHECK(a.dtype() == b.dtype(), "operands of different dtype");
  return a.graph().apply1(std::make_shared<const BinaryOp>(op), {a, b});
}

}  // namespace

Var add(Var a, Var b) { return apply_binary(Binary::add, a, b); }
Var subtract(Var a, Var b) { return apply_binary(Binary::subtract, a, b); }
Var multiply(Var a, Var b) { return apply_binary(Binary::multiply, a, b); }
Var divide(Var a, Var b) { return apply_binary(Binary::divide, a, b); }
Var affine(Var x, double scale, double shift) { return apply_unary(Unary::affine, x, scale, shift); }
Var relu(Var x) { return apply_unary(Unary::relu, x); }
Var exp(Var x) { return apply_unary(Unary::exp, x); }
Var log(Var x) { return apply_unary(Unary::log, x); }
Var sqrt(Var x) { return apply_unary(Unary::sqrt, x); }
Var square(Var x) { return apply_unary(Unary::square, x); }
Var reciprocal(Var x) { return apply_unary(Unary::reciprocal, x); }
Var tanh(Var x) { return apply_unary(Unary::tanh, x); }
Var sigmoid(Var x) { return apply_unary(Unary::sigmoid, x); }
Var elu(Var x) { return apply_unary(Unary::elu, x); }
Var clamp_min(Var x, double bound) { return apply_unary(Unary::clamp_min, x, bound); }
Var greater(Var x, double bound) { return apply_unary(Unary::greater, x, bound); }

Var sum_to(Var x, const Shape& shape) {
  while (x.shape().rank() > shape.rank()) x = sum(x, 0, false);
  for (int axis = 0; axis < shape.rank(); ++axis)
    if (shape[axis] == 1 && x.shape()[axis] != 1) x = sum(x, axis, true);
  return x;
}

}  // namespace lra::engine
