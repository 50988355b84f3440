#include "engine/ops/prefix_sum.h"

#include <algorithm>

#include "engine/op.h"
#include "engine/ops/planes.h"

namespace lra::engine {
namespace {

/// Rows in their order, or from the last one back.
template <class T>
class SumBeforeKernel final : public Kernel {
 public:
  explicit SumBeforeKernel(bool reversed) : reversed_(reversed) {}

  void run(const KernelArguments& arguments) const override {
    const Planes<const T> x(arguments.inputs[0]);
    const Planes<T> y(arguments.outputs[0]);
    for (int64_t plane = 0; plane < x.planes; ++plane)
      for (int64_t i = 0; i < x.rows; ++i) {
        const int64_t row = reversed_ ? x.rows - 1 - i : i, before = reversed_ ? row + 1 : row - 1;
        T* sum = y.row(plane, row);
        if (i == 0) {
          std::fill_n(sum, x.columns, T{0});
          continue;
        }
        const T* earlier = y.row(plane, before);
        const T* added = x.row(plane, before);
#pragma omp simd
        for (int64_t c = 0; c < x.columns; ++c) sum[c] = earlier[c] + added[c];
      }
  }

 private:
  bool reversed_;
};

class SumBeforeOp final : public Op {
 public:
  explicit SumBeforeOp(bool reversed) : reversed_(reversed) {}
  std::string_view name() const override { return reversed_ ? "sum_after" : "sum_before"; }
  std::vector<Type> infer(std::span<const Type> inputs) const override { return {inputs[0]}; }
  std::unique_ptr<Kernel> kernel(const KernelRequest& request) const override {
    if (request.inputs[0].dtype == Dtype::f64) return std::make_unique<SumBeforeKernel<double>>(reversed_);
    return std::make_unique<SumBeforeKernel<float>>(reversed_);
  }
  std::vector<Var> vjp(const VjpArguments& arguments) const override {
    const Var g = arguments.output_gradients[0];
    return {g.graph().apply1(std::make_shared<const SumBeforeOp>(!reversed_), {g})};
  }

 private:
  bool reversed_;
};

}  // namespace

Var sum_before(Var x) {
  check_planes("sum_before", x);
  return x.graph().apply1(std::make_shared<const SumBeforeOp>(false), {x});
}

}  // namespace lra::engine
