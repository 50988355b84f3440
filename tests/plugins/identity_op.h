// An operation that copies, to be given a fault.
#pragma once

#include <algorithm>
#include <memory>
#include <vector>

#include "engine/op.h"
#include "engine/ops/planes.h"

namespace lra::testing {

/// y = x for x: [h, n, d]; `run` comes before the copy.
class IdentityOp : public engine::Op {
 public:
  std::vector<engine::Type> infer(std::span<const engine::Type> inputs) const override { return {inputs[0]}; }
  std::unique_ptr<engine::Kernel> kernel(const engine::KernelRequest&) const override {
    return std::make_unique<Copy>(*this);
  }
  std::vector<engine::Var> vjp(const engine::VjpArguments& arguments) const override {
    return {arguments.output_gradients[0]};
  }
  virtual void before_run(const engine::ExampleKeys&) const {}

 private:
  class Copy final : public engine::Kernel {
   public:
    explicit Copy(const IdentityOp& op) : op_(op) {}
    void run(const engine::KernelArguments& arguments) const override {
      op_.before_run(arguments.keys);
      const engine::View &x = arguments.inputs[0], &y = arguments.outputs[0];
      if (x.dtype == engine::Dtype::f64) copy<double>(x, y);
      if (x.dtype == engine::Dtype::f32) copy<float>(x, y);
    }

   private:
    template <class T>
    static void copy(const engine::View& x, const engine::View& y) {
      const engine::Planes<T> from(x), to(y);
      for (int64_t plane = 0; plane < to.planes; ++plane)
        for (int64_t row = 0; row < to.rows; ++row) std::copy_n(from.row(plane, row), to.columns, to.row(plane, row));
    }
    const IdentityOp& op_;  // the graph is gone when this runs: operations of these tests live as long as the plug-in
  };
};

/// x through the only object of `Kind`.
template <class Kind>
engine::Var apply_identity(engine::Var x) {
  static const auto op = std::make_shared<const Kind>();
  return x.graph().apply1(op, {x});
}

}  // namespace lra::testing
