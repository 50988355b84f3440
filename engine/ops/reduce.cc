#include "engine/ops/reduce.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "engine/errors.h"
#include "engine/kernels/rows.h"
#include "engine/kernels/vmath.h"
#include "engine/op.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/shape.h"

namespace lra::engine {
namespace {

enum class Reduction { sum, max };

/// [outer, reduced, inner]: the axes before the reduced one, itself, and those after it, with their strides.
struct Split3 {
  Split3(const View& view, int axis) {
    const Shape& shape = view.shape();
    for (int i = 0; i < axis; ++i) outer *= shape[i];
    for (int i = axis + 1; i < shape.rank(); ++i) inner *= shape[i];
    extent = shape[axis];
  }
  int64_t outer = 1, extent = 1, inner = 1;
};

/// The address of element (outer, along, inner) of a strided view, the outer and inner indices in row-major order.
template <class T>
T* element(const View& view, int axis, int64_t outer, int64_t along, int64_t inner) {
  int64_t offset = along * view.stride(axis);
  for (int i = axis - 1; i >= 0; --i) {
    offset += outer % view.shape()[i] * view.stride(i);
    outer /= view.shape()[i];
  }
  for (int i = view.shape().rank() - 1; i > axis; --i) {
    offset += inner % view.shape()[i] * view.stride(i);
    inner /= view.shape()[i];
  }
  return view.as<T>() + offset;
}

template <class T>
T sum_row(const T* x, int64_t count) {
  T total = 0;
#pragma omp simd reduction(+ : total)
  for (int64_t i = 0; i < count; ++i) total += x[i];
  return total;
}

template <class T>
T max_row(const T* x, int64_t count) {
  T largest = -std::numeric_limits<T>::infinity();
#pragma omp simd reduction(max : largest)
  for (int64_t i = 0; i < count; ++i) largest = std::max(largest, x[i]);
  return largest;
}

/// max that hands on a NaN from either side.
template <class T>
T larger(T a, T b) {
  return b > a || std::isnan(b) ? b : a;
}

/// The largest of a row, or a NaN of it, lane by lane first.
template <class T>
T largest_of_row(const T* x, int64_t count) {
  constexpr int64_t kLanes = 16;
  T lanes[kLanes];
  std::fill_n(lanes, kLanes, x[0]);
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
#pragma omp simd
    for (int64_t l = 0; l < kLanes; ++l) lanes[l] = larger(lanes[l], x[i + l]);
  for (; i < count; ++i) lanes[0] = larger(lanes[0], x[i]);
  return std::accumulate(lanes + 1, lanes + kLanes, lanes[0], larger<T>);
}

/// The output always has the reduced axis (with extent 1); dropping it is a reshape.
template <Reduction kReduction, class T>
class ReduceKernel final : public Kernel {
 public:
  ReduceKernel(int axis, bool accumulate) : axis_(axis), accumulate_(accumulate) {}
  void run(const KernelArguments& arguments) const override {
    const View& x = arguments.inputs[0];
    const View& y = arguments.outputs[0];
    const Split3 split(x, axis_);
    for (int64_t outer = 0; outer < split.outer; ++outer) {
      if (axis_ + 1 == x.shape().rank()) {
        const T* row = element<const T>(x, axis_, outer, 0, 0);
        T& out = *element<T>(y, axis_, outer, 0, 0);
        if constexpr (kReduction == Reduction::sum) {
          out = sum_row(row, split.extent) + (accumulate_ ? out : T{0});
        } else {
          out = largest_of_row(row, split.extent);
        }
        continue;
      }
      // Rows of the last axis are neighbours: reduce whole rows at a time, in order of the reduced axis.
      const int64_t width = x.shape()[-1];
      for (int64_t inner = 0; inner < split.inner; inner += width) {
        T* out = element<T>(y, axis_, outer, 0, inner);
        if (!accumulate_) std::copy_n(element<const T>(x, axis_, outer, 0, inner), width, out);
        for (int64_t along = accumulate_ ? 0 : 1; along < split.extent; ++along) {
          const T* in = element<const T>(x, axis_, outer, along, inner);
#pragma omp simd
          for (int64_t i = 0; i < width; ++i)
            out[i] = kReduction == Reduction::sum ? out[i] + in[i] : larger(out[i], in[i]);
        }
      }
    }
  }

 private:
  int axis_;
  bool accumulate_;  // sums only
};

/// Gradient of max: what reached y goes to the first element of the reduced axis that equals it.
template <class T>
class MaxGradientKernel final : public Kernel {
 public:
  explicit MaxGradientKernel(int axis) : axis_(axis) {}
  void run(const KernelArguments& arguments) const override {
    const View &x = arguments.inputs[0], &y = arguments.inputs[1], &g = arguments.inputs[2];
    const Split3 split(x, axis_);
    for (int64_t outer = 0; outer < split.outer; ++outer)
      for (int64_t inner = 0; inner < split.inner; ++inner) {
        bool found = false;
        for (int64_t along = 0; along < split.extent; ++along) {
          const bool here = !found && *element<const T>(x, axis_, outer, along, inner) ==
                                          *element<const T>(y, axis_, outer, 0, inner);
          *element<T>(arguments.outputs[0], axis_, outer, along, inner) =
              here ? *element<const T>(g, axis_, outer, 0, inner) : T{0};
          found = found || here;
        }
      }
  }

 private:
  int axis_;
};

class MaxGradientOp final : public Op {
 public:
  explicit MaxGradientOp(int axis) : axis_(axis) {}
  std::string_view name() const override { return "max_gradient"; }
  std::vector<Type> infer(std::span<const Type> inputs) const override { return {inputs[0]}; }
  std::unique_ptr<Kernel> kernel(const KernelRequest& request) const override {
    if (request.inputs[0].dtype == Dtype::f64) return std::make_unique<MaxGradientKernel<double>>(axis_);
    return std::make_unique<MaxGradientKernel<float>>(axis_);
  }
  std::vector<Var> vjp(const VjpArguments&) const override {
    LRA_CHECK(false, "max_gradient has no gradient of its own");
    return {};
  }

 private:
  int axis_;
};

class ReduceOp final : public Op {
 public:
  ReduceOp(Reduction reduction, int axis) : reduction_(reduction), axis_(axis) {}
  std::string_view name() const override { return reduction_ == Reduction::sum ? "sum" : "max"; }
  bool accumulates(size_t) const override { return reduction_ == Reduction::sum; }
  RowRoles row_roles(std::span<const Type> inputs) const override {
    const int rank = inputs[0].shape.rank();
    if (rank >= 2 && axis_ == rank - 1) return {{RowRole::rows}, {RowRole::rows}};
    if (rank >= 2 && axis_ == rank - 2 && reduction_ == Reduction::sum) return {{RowRole::rows}, {RowRole::summed}};
    return {};
  }
  std::vector<Type> infer(std::span<const Type> inputs) const override {
    Type type = inputs[0];
    type.shape.set(axis_, 1);
    return {type};
  }
  std::unique_ptr<Kernel> kernel(const KernelRequest& request) const override {
    const bool wide = request.inputs[0].dtype == Dtype::f64;
    const bool accumulate = request.accumulate[0];
    if (reduction_ == Reduction::sum)
      return wide ? make<Reduction::sum, double>(accumulate) : make<Reduction::sum, float>(accumulate);
    return wide ? make<Reduction::max, double>(false) : make<Reduction::max, float>(false);
  }
  std::vector<Var> vjp(const VjpArguments& arguments) const override {
    const Var x = arguments.inputs[0], g = arguments.output_gradients[0];
    if (reduction_ == Reduction::max)
      return {x.graph().apply1(std::make_shared<const MaxGradientOp>(axis_), {x, arguments.outputs[0], g})};
    return {broadcast_to(g, x.shape())};
  }

 private:
  template <Reduction kReduction, class T>
  std::unique_ptr<Kernel> make(bool accumulate) const {
    return std::make_unique<ReduceKernel<kReduction, T>>(axis_, accumulate);
  }
  Reduction reduction_;
  int axis_;
};

Var reduce(Reduction reduction, Var x, int axis, bool keep_axis) {
  if (axis < 0) axis += x.shape().rank();
  LRA_CHECK(axis >= 0 && axis < x.shape().rank(), fmt::format("axis {} of {}", axis, x.shape().to_string()));
  const Var y = x.graph().apply1(std::make_shared<const ReduceOp>(reduction, axis), {x});
  if (keep_axis) return y;
  std::vector<int64_t> dims;
  for (int i = 0; i < x.shape().rank(); ++i)
    if (i != axis) dims.push_back(x.shape()[i]);
  return reshape(y, Shape(dims));
}

template <class T>
class BroadcastKernel final : public Kernel {
  void run(const KernelArguments& arguments) const override {
    const View& y = arguments.outputs[0];
    const BroadcastRows rows_x(arguments.inputs[0], y.shape()), rows_y(y, y.shape());
    const int64_t width = y.shape().rank() == 0 ? 1 : y.shape()[-1];
    for_each_row(y.shape(), [&](const RowIndex& at) {
      const T* x = rows_x.row<const T>(at);
      T* out = rows_y.row<T>(at);
      if (rows_x.inner_stride() == 1) {
        std::copy_n(x, width, out);
      } else {
        std::fill_n(out, width, *x);
      }
    });
  }
};

class BroadcastOp final : public Op {
 public:
  explicit BroadcastOp(const Shape& shape) : shape_(shape) {}
  std::string_view name() const override { return "broadcast"; }
  RowRoles row_roles(std::span<const Type> inputs) const override { return elementwise_roles(inputs, shape_); }
  std::vector<Type> infer(std::span<const Type> inputs) const override { return {{inputs[0].dtype, shape_}}; }
  std::unique_ptr<Kernel> kernel(const KernelRequest& request) const override {
    if (request.inputs[0].dtype == Dtype::f64) return std::make_unique<BroadcastKernel<double>>();
    return std::make_unique<BroadcastKernel<float>>();
  }
  std::vector<Var> vjp(const VjpArguments& arguments) const override {
    return {sum_to(arguments.output_gradients[0], arguments.inputs[0].shape())};
  }

 private:
  Shape shape_;
};

template <class T>
T exp_of(T x) {
  if constexpr (std::is_same_v<T, float>) return exp_f32(x);
  return std::exp(x);
}

template <class T>
class SoftmaxKernel final : public Kernel {
  void run(const KernelArguments& arguments) const override {
    const View& y = arguments.outputs[0];
    const int64_t width = y.shape()[-1];
    const BroadcastRows rows_x(arguments.inputs[0], y.shape()), rows_y(y, y.shape());
    for_each_row(y.shape(), [&](const RowIndex& at) {
      const T* x = rows_x.row<const T>(at);
      T* out = rows_y.row<T>(at);
      const T largest = max_row(x, width);
#pragma omp simd
      for (int64_t i = 0; i < width; ++i) out[i] = exp_of<T>(x[i] - largest);
      const T scale = 1 / sum_row(out, width);
#pragma omp simd
      for (int64_t i = 0; i < width; ++i) out[i] *= scale;
    });
  }
};

/// dx = y (g - sum(g y)).
template <class T>
class SoftmaxGradientKernel final : public Kernel {
  void run(const KernelArguments& arguments) const override {
    const View& dx = arguments.outputs[0];
    const int64_t width = dx.shape()[-1];
    const BroadcastRows rows_y(arguments.inputs[0], dx.shape()), rows_g(arguments.inputs[1], dx.shape()),
        rows_dx(dx, dx.shape());
    for_each_row(dx.shape(), [&](const RowIndex& at) {
      const T* y = rows_y.row<const T>(at);
      const T* g = rows_g.row<const T>(at);
      T* out = rows_dx.row<T>(at);
      T dot = 0;
#pragma omp simd reduction(+ : dot)
      for (int64_t i = 0; i < width; ++i) dot += y[i] * g[i];
#pragma omp simd
      for (int64_t i = 0; i < width; ++i) out[i] = y[i] * (g[i] - dot);
    });
  }
};

/// Roles of what works along the last axis: a vector is a single row.
RowRoles rows_of_width(std::span<const Type> inputs) {
  return inputs[0].shape.rank() >= 2 ? elementwise_roles(inputs, inputs[0].shape) : RowRoles{};
}

class SoftmaxGradientOp final : public Op {
 public:
  std::string_view name() const override { return "softmax_gradient"; }
  RowRoles row_roles(std::span<const Type> inputs) const override { return rows_of_width(inputs); }
  std::vector<Type> infer(std::span<const Type> inputs) const override { return {inputs[0]}; }
  std::unique_ptr<Kernel> kernel(const KernelRequest& request) const override {
    if (request.inputs[0].dtype == Dtype::f64) return std::make_unique<SoftmaxGradientKernel<double>>();
    return std::make_unique<SoftmaxGradientKernel<float>>();
  }
  std::vector<Var> vjp(const VjpArguments&) const override {
    LRA_CHECK(false, "softmax_gradient has no gradient of its own");
    return {};
  }
};

class SoftmaxOp final : public Op {
 public:
  std::string_view name() const override { return "softmax"; }
  RowRoles row_roles(std::span<const Type> inputs) const override { return rows_of_width(inputs); }
  std::vector<Type> infer(std::span<const Type> inputs) const override { return {inputs[0]}; }
  std::unique_ptr<Kernel> kernel(const KernelRequest& request) const override {
    if (request.inputs[0].dtype == Dtype::f64) return std::make_unique<SoftmaxKernel<double>>();
    return std::make_unique<SoftmaxKernel<float>>();
  }
  std::vector<Var> vjp(const VjpArguments& arguments) const override {
    static const auto kGradient = std::make_shared<const SoftmaxGradientOp>();
    return {arguments.inputs[0].graph().apply1(kGradient, {arguments.outputs[0], arguments.output_gradients[0]})};
  }
};

}  // namespace

Var sum(Var x, int axis, bool keep_axis) { return reduce(Reduction::sum, x, axis, keep_axis); }
Var max(Var x, int axis, bool keep_axis) { return reduce(Reduction::max, x, axis, keep_axis); }
Var broadcast_to(Var x, const Shape& shape) {
  bool fits = x.shape().rank() <= shape.rank();
  for (int axis = -1; fits && axis >= -x.shape().rank(); --axis)
    fits = x.shape()[axis] == 1 || x.shape()[axis] == shape[axis];
  LRA_CHECK(fits, fmt::format("[broadcast_to] {} to {}", x.shape().to_string(), shape.to_string()));
  if (x.shape() == shape) return x;
  return x.graph().apply1(std::make_shared<const BroadcastOp>(shape), {x});
}
Var softmax(Var x) {
  LRA_CHECK(x.shape().rank() > 0, "[softmax] of a single number");
  return x.graph().apply1(std::make_shared<const SoftmaxOp>(), {x});
}

}  // namespace lra::engine
