#include "engine/ops/dropout.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "engine/errors.h"
#include "engine/kernels/dropout_mask.h"
#include "engine/op.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/planes.h"

namespace lra::engine {
namespace {

/// The place and rate of a draw.
struct Draw {
  uint32_t threshold = 0;
  uint64_t site = 0;
};

/// outputs[0] = [inputs[0] +] dropout(last input), by the scalar decision function.
template <class T, bool kResidual>
class PlainKernel final : public Kernel {
 public:
  explicit PlainKernel(Draw draw) : draw_(draw) {}

  void run(const KernelArguments& arguments) const override {
    const Planes<const T> x(arguments.inputs.back());
    const Planes<const T> residual(arguments.inputs.front());
    const Planes<T> y(arguments.outputs[0]);
    const T scale = static_cast<T>(dropout_scale(draw_.threshold));
    for (int64_t plane = 0; plane < x.planes; ++plane) {
      const uint64_t key = dropout_key(arguments.keys.seed, draw_.site, static_cast<uint64_t>(plane));
      for (int64_t row = 0; row < x.rows; ++row) {
        const T* from = x.row(plane, row);
        const T* base = residual.row(plane, row);
        T* to = y.row(plane, row);
        for (int64_t column = 0; column < x.columns; ++column) {
          const bool is_kept = keep(key, arguments.keys, draw_.threshold, arguments.row_begin + row, column);
          const T kept = is_kept ? from[column] * scale : T{0};
          to[column] = kResidual ? base[column] + kept : kept;
        }
      }
    }
  }

 private:
  Draw draw_;
};

/// The same for f32, 128 decisions at a time.
template <bool kResidual>
class FastKernel final : public Kernel {
 public:
  explicit FastKernel(Draw draw) : draw_(draw) {}

  void run(const KernelArguments& arguments) const override {
    const Planes<const float> x(arguments.inputs.back());
    const Planes<const float> residual(arguments.inputs.front());
    const Planes<float> y(arguments.outputs[0]);
    for (int64_t plane = 0; plane < x.planes; ++plane) {
      const DropoutWindow window{.key = dropout_key(arguments.keys.seed, draw_.site, static_cast<uint64_t>(plane)),
                                 .keys = arguments.keys,
                                 .threshold = draw_.threshold,
                                 .scale = static_cast<float>(dropout_scale(draw_.threshold)),
                                 .row_begin = arguments.row_begin,
                                 .rows = x.rows,
                                 .columns = x.columns};
      if constexpr (kResidual) {
        add_dropout(window, residual.row(plane, 0), residual.row_stride, x.row(plane, 0), x.row_stride, y.row(plane, 0),
                    y.row_stride);
      } else {
        apply_dropout(window, x.row(plane, 0), x.row_stride, y.row(plane, 0), y.row_stride);
      }
    }
  }

 private:
  Draw draw_;
};

/// dropout(x), or residual + dropout(x).
template <bool kResidual>
class DropoutOp final : public Op {
 public:
  explicit DropoutOp(Draw draw) : draw_(draw) {}

  std::string_view name() const override { return kResidual ? "add_dropout" : "dropout"; }
  RowRoles row_roles(std::span<const Type> inputs) const override {
    return {std::vector(inputs.size(), RowRole::rows), {RowRole::rows}};
  }
  std::vector<Type> infer(std::span<const Type> inputs) const override { return {inputs[0]}; }
  Effort effort(std::span<const Type> inputs) const override { return {.draws = inputs[0].shape.elements()}; }

  std::unique_ptr<Kernel> kernel(const KernelRequest& request) const override {
    if (request.inputs[0].dtype == Dtype::f64) return std::make_unique<PlainKernel<double, kResidual>>(draw_);
    if (request.kernels == Kernels::plain) return std::make_unique<PlainKernel<float, kResidual>>(draw_);
    return std::make_unique<FastKernel<kResidual>>(draw_);
  }

  std::vector<Var> vjp(const VjpArguments& arguments) const override {
    const Var gradient = arguments.output_gradients[0];
    std::vector<Var> gradients(arguments.inputs.size());
    if (arguments.needed.back())
      gradients.back() = gradient.graph().apply1(std::make_shared<const DropoutOp<false>>(draw_), {gradient});
    if (kResidual && arguments.needed.front()) gradients.front() = gradient;
    return gradients;
  }

 private:
  Draw draw_;
};

}  // namespace

uint32_t dropout_threshold(double probability) {
  if (!(probability >= 0 && probability < 1))
    throw UsageError(fmt::format("[dropout] probability {} lies outside [0, 1)", probability),
                     "0 switches dropout off");
  // 65536 would keep nothing and scale it by infinity.
  return std::min<uint32_t>(static_cast<uint32_t>(std::lround(65536 * probability)), 65535);
}

uint64_t dropout_site(std::string_view scope, std::string_view what) {
  return mix_key({hash_name(scope), hash_name(what)});
}

Var dropout(Var x, double probability, uint64_t site) {
  const uint32_t threshold = dropout_threshold(probability);
  if (threshold == 0) return x;
  check_planes("dropout", x);
  return x.graph().apply1(std::make_shared<const DropoutOp<false>>(Draw{threshold, site}), {x});
}

Var add_dropout(Var residual, Var x, double probability, uint64_t site) {
  check_planes("add_dropout", x);
  LRA_CHECK(residual.type() == x.type(), fmt::format("[add_dropout] residual {} and x {} differ in shape or dtype",
                                                     residual.shape().to_string(), x.shape().to_string()));
  const uint32_t threshold = dropout_threshold(probability);
  if (threshold == 0) return add(residual, x);
  return x.graph().apply1(std::make_shared<const DropoutOp<true>>(Draw{threshold, site}), {residual, x});
}

}  // namespace lra::engine
