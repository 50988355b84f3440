#include "engine/ops/activations.h"

#include <type_traits>

#include "engine/errors.h"
#include "engine/kernels/dropout_runs.h"
#include "engine/kernels/rows.h"
#include "engine/kernels/vmath.h"
#include "engine/op.h"
#include "engine/ops/dropout.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/planes.h"

namespace lra::engine {
namespace {

template <Gelu kForm, class Math, class T>
inline T value_of(T x) {
  return kForm == Gelu::erf ? gelu_erf<Math>(x) : gelu_tanh<Math>(x);
}

template <Gelu kForm, class Math, class T>
inline T derivative_of(T x) {
  return kForm == Gelu::erf ? gelu_erf_derivative<Math>(x) : gelu_tanh_derivative<Math>(x);
}

template <Gelu kForm, bool kBackward, class Math, class T>
inline T element_of(T x, T gradient) {
  return kBackward ? gradient * derivative_of<kForm, Math>(x) : value_of<kForm, Math>(x);
}

/// outputs[0] = gelu(inputs[0]); backward: inputs are x and dy, outputs[0] = dy * gelu'(x).
template <Gelu kForm, class Math, class T, bool kBackward>
class GeluKernel final : public Kernel {
  void run(const KernelArguments& arguments) const override {
    const Shape& shape = arguments.outputs[0].shape();
    const BroadcastRows x(arguments.inputs.front(), shape), dy(arguments.inputs.back(), shape);
    const BroadcastRows y(arguments.outputs[0], shape);
    const int64_t count = shape.rank() == 0 ? 1 : shape[-1];
    for_each_row(shape,
                 [&](const RowIndex& at) { run_row(x.row<const T>(at), dy.row<const T>(at), y.row<T>(at), count); });
  }

  static void run_row(const T* x, const T* gradient, T* y, int64_t count) {
    if constexpr (std::is_same_v<Math, FastMath>) {
#pragma omp simd
      for (int64_t i = 0; i < count; ++i) y[i] = element_of<kForm, kBackward, Math>(x[i], gradient[i]);
    } else {  // calls of the standard library do not become vector code
      for (int64_t i = 0; i < count; ++i) y[i] = element_of<kForm, kBackward, Math>(x[i], gradient[i]);
    }
  }
};

template <Gelu kForm, bool kBackward>
std::unique_ptr<Kernel> make_gelu_kernel(const KernelRequest& request) {
  if (request.inputs[0].dtype == Dtype::f64)
    return std::make_unique<GeluKernel<kForm, StandardMath<double>, double, kBackward>>();
  if (request.kernels == Kernels::plain)
    return std::make_unique<GeluKernel<kForm, StandardMath<float>, float, kBackward>>();
  return std::make_unique<GeluKernel<kForm, FastMath, float, kBackward>>();
}

/// Backward: inputs x, dy, output dx.
template <bool kBackward>
class GeluOp final : public Op {
 public:
  explicit GeluOp(Gelu form) : form_(form) {}
  std::string_view name() const override { return kBackward ? "gelu_backward" : "gelu"; }
  RowRoles row_roles(std::span<const Type> inputs) const override {
    return {std::vector(inputs.size(), RowRole::rows), {RowRole::rows}};
  }
  std::vector<Type> infer(std::span<const Type> inputs) const override { return {inputs[0]}; }
  Effort effort(std::span<const Type> inputs) const override { return {.exponentials = inputs[0].shape.elements()}; }

  std::unique_ptr<Kernel> kernel(const KernelRequest& request) const override {
    return form_ == Gelu::erf ? make_gelu_kernel<Gelu::erf, kBackward>(request)
                              : make_gelu_kernel<Gelu::tanh, kBackward>(request);
  }

  std::vector<Var> vjp(const VjpArguments& arguments) const override {
    LRA_CHECK(!kBackward, "gelu_backward has no gradient of its own");
    const Var x = arguments.inputs[0];
    return {x.graph().apply1(std::make_shared<const GeluOp<true>>(form_), {x, arguments.output_gradients[0]})};
  }

 private:
  Gelu form_;
};

struct GeluDraw {
  Gelu form;
  uint32_t threshold;
  uint64_t site;
};

/// One pass: the decisions of a run stay in registers while its activations are computed.
template <Gelu kForm, bool kBackward>
class GeluDropoutKernel final : public Kernel {
 public:
  explicit GeluDropoutKernel(GeluDraw draw) : draw_(draw) {}

  void run(const KernelArguments& arguments) const override {
    const Planes<const float> x(arguments.inputs.front()), dy(arguments.inputs.back());
    const Planes<float> y(arguments.outputs[0]);
    for (int64_t plane = 0; plane < x.planes; ++plane) {
      const DropoutWindow window{.key = dropout_key(arguments.keys.seed, draw_.site, static_cast<uint64_t>(plane)),
                                 .keys = arguments.keys,
                                 .threshold = draw_.threshold,
                                 .scale = static_cast<float>(dropout_scale(draw_.threshold)),
                                 .row_begin = arguments.row_begin,
                                 .rows = x.rows,
                                 .columns = x.columns};
      write_dropout(window, {{x.row(plane, 0), x.row_stride}}, y.row(plane, 0), y.row_stride,
                    [&](int64_t row, int64_t column) {
                      const float* from = x.row(plane, row) + column;
                      const float* gradient = dy.row(plane, row) + column;
                      return [=, scale = window.scale](int64_t l, bool kept) {
                        const float slope = kBackward ? gradient[l] * derivative_of<kForm, FastMath>(from[l])
                                                      : value_of<kForm, FastMath>(from[l]);
                        return select_kept(kept, slope * scale);
                      };
                    });
    }
  }

 private:
  GeluDraw draw_;
};

/// Input x; outputs gelu and dropout of it, and the slope that the gradient is multiplied by: one pass for both.
template <Gelu kForm>
class GeluDropoutAgainKernel final : public Kernel {
 public:
  explicit GeluDropoutAgainKernel(GeluDraw draw) : draw_(draw) {}

  void run(const KernelArguments& arguments) const override {
    const Planes<const float> x(arguments.inputs[0]);
    const Planes<float> y(arguments.outputs[0]), slopes(arguments.outputs[1]);
    for (int64_t plane = 0; plane < x.planes; ++plane) {
      const DropoutWindow window{.key = dropout_key(arguments.keys.seed, draw_.site, static_cast<uint64_t>(plane)),
                                 .keys = arguments.keys,
                                 .threshold = draw_.threshold,
                                 .scale = static_cast<float>(dropout_scale(draw_.threshold)),
                                 .row_begin = arguments.row_begin,
                                 .rows = x.rows,
                                 .columns = x.columns};
      write_dropout(window, {{x.row(plane, 0), x.row_stride}}, y.row(plane, 0), y.row_stride,
                    [&](int64_t row, int64_t column) {
                      const float* from = x.row(plane, row) + column;
                      float* slope = slopes.row(plane, row) + column;
                      return [=, scale = window.scale](int64_t l, bool kept) {
                        slope[l] = select_kept(kept, derivative_of<kForm, FastMath>(from[l]) * scale);
                        return select_kept(kept, value_of<kForm, FastMath>(from[l]) * scale);
                      };
                    });
    }
  }

 private:
  GeluDraw draw_;
};

/// x -> y, slope: what the backward pass needs of gelu_dropout. f32 only.
class GeluDropoutAgainOp final : public Op {
 public:
  explicit GeluDropoutAgainOp(GeluDraw draw) : draw_(draw) {}
  std::string_view name() const override { return "gelu_dropout_again"; }
  RowRoles row_roles(std::span<const Type>) const override { return {{RowRole::rows}, {RowRole::rows, RowRole::rows}}; }
  std::vector<Type> infer(std::span<const Type> inputs) const override { return {inputs[0], inputs[0]}; }
  Effort effort(std::span<const Type> inputs) const override {
    return {.exponentials = inputs[0].shape.elements(), .draws = inputs[0].shape.elements()};
  }
  std::unique_ptr<Kernel> kernel(const KernelRequest& request) const override {
    LRA_CHECK(request.inputs[0].dtype == Dtype::f32, "gelu_dropout_again is fused, f32 only");
    if (draw_.form == Gelu::erf) return std::make_unique<GeluDropoutAgainKernel<Gelu::erf>>(draw_);
    return std::make_unique<GeluDropoutAgainKernel<Gelu::tanh>>(draw_);
  }
  std::vector<Var> vjp(const VjpArguments&) const override {
    LRA_CHECK(false, "gelu_dropout_again has no gradient of its own");
    return {};
  }

 private:
  GeluDraw draw_;
};

/// Backward: inputs x, dy, output dx. f32 only.
template <bool kBackward>
class GeluDropoutOp final : public Op {
 public:
  explicit GeluDropoutOp(GeluDraw draw) : draw_(draw) {}
  std::string_view name() const override { return kBackward ? "gelu_dropout_backward" : "gelu_dropout"; }
  RowRoles row_roles(std::span<const Type> inputs) const override {
    return {std::vector(inputs.size(), RowRole::rows), {RowRole::rows}};
  }
  std::vector<Type> infer(std::span<const Type> inputs) const override { return {inputs[0]}; }
  Effort effort(std::span<const Type> inputs) const override {
    return {.exponentials = inputs[0].shape.elements(), .draws = inputs[0].shape.elements()};
  }

  std::unique_ptr<Kernel> kernel(const KernelRequest& request) const override {
    LRA_CHECK(request.inputs[0].dtype == Dtype::f32, "gelu_dropout is fused, f32 only");
    if (draw_.form == Gelu::erf) return std::make_unique<GeluDropoutKernel<Gelu::erf, kBackward>>(draw_);
    return std::make_unique<GeluDropoutKernel<Gelu::tanh, kBackward>>(draw_);
  }

  std::optional<Remade> remake(std::span<const Var> inputs, std::span<const Var>) const override {
    const std::vector<Var> made =
        inputs[0].graph().apply(std::make_shared<const GeluDropoutAgainOp>(draw_), inputs.first(1));
    return Remade{.outputs = {made[0]}, .extra = {made[1]}};
  }

  std::vector<Var> vjp(const VjpArguments& arguments) const override {
    LRA_CHECK(!kBackward, "gelu_dropout_backward has no gradient of its own");
    if (!arguments.extra.empty()) return {multiply(arguments.output_gradients[0], arguments.extra[0])};
    const Var x = arguments.inputs[0];
    return {x.graph().apply1(std::make_shared<const GeluDropoutOp<true>>(draw_), {x, arguments.output_gradients[0]})};
  }

 private:
  GeluDraw draw_;
};

}  // namespace

Var gelu(Var x, Gelu form) {
  LRA_CHECK(x.dtype() != Dtype::i32, "[gelu] x holds integers");
  return x.graph().apply1(std::make_shared<const GeluOp<false>>(form), {x});
}

Var gelu_dropout(Var x, Gelu form, double probability, uint64_t site) {
  const uint32_t threshold = dropout_threshold(probability);
  if (threshold == 0 || !x.graph().use_fused()) return dropout(gelu(x, form), probability, site);
  check_planes("gelu_dropout", x);
  return x.graph().apply1(std::make_shared<const GeluDropoutOp<false>>(GeluDraw{form, threshold, site}), {x});
}

}  // namespace lra::engine
