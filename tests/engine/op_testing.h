// Running graphs node by node without a plan, and comparing gradients with finite differences.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <new>
#include <span>
#include <string_view>
#include <vector>

#include "engine/autodiff.h"
#include "engine/graph.h"
#include "engine/op.h"
#include "engine/parameters.h"
#include "engine/random.h"
#include "tests/engine/guarded_scratch.h"

namespace lra::engine::testing {

/// Numbers in row-major order, whatever the dtype they are run in.
struct Array {
  Shape shape;
  std::vector<double> values;
  bool integers = false;  // i32 in every graph; otherwise of the graph's dtype
};

/// Normal draws from a stream of this name.
inline Array normal_array(const Shape& shape, std::string_view name, double standard_deviation = 1.0) {
  Stream stream(1, Purpose::data, name);
  Array array{.shape = shape, .values = std::vector<double>(static_cast<size_t>(shape.elements()))};
  for (double& value : array.values) value = standard_deviation * stream.normal();
  return array;
}

/// Integers in [0, bound).
inline Array index_array(int64_t count, uint64_t bound, std::string_view name) {
  Stream stream(1, Purpose::data, name);
  Array array{.shape = {count}, .values = std::vector<double>(static_cast<size_t>(count)), .integers = true};
  for (double& value : array.values) value = static_cast<double>(stream.below(bound));
  return array;
}

/// How a graph is run.
struct RunOptions {
  Dtype dtype = Dtype::f64;
  Kernels kernels = Kernels::plain;
  ExampleKeys keys{.seed = 7, .step = 3, .example = 11};
  /// Elements between neighbouring rows of every buffer, NaN before and after: strided views.
  int64_t padding = 0;
  /// Outputs that support it start at 1 and are added to; the 1 is taken off again afterwards.
  bool accumulate = false;
};

/// Builds values from inputs.
using Builder = std::function<std::vector<Var>(std::span<const Var> inputs)>;
using Values = std::vector<std::vector<double>>;

/// Memory of one value, with rows `padding` elements apart, all bits 1 (NaN, or -1) until written.
class Buffer {
 public:
  Buffer(const Type& type, int64_t padding) {
    view_.dtype = type.dtype;
    view_.layout = Layout::contiguous(type.shape);
    int64_t stride = 1;
    for (int axis = type.shape.rank() - 1; axis >= 0; --axis) {
      view_.layout.strides[static_cast<size_t>(axis)] = stride;
      stride = stride * type.shape[axis] + (axis == type.shape.rank() - 1 && axis > 0 ? padding : 0);
    }
    bytes_.assign(static_cast<size_t>(stride + 1) * bytes_of(type.dtype), kPoison);
    view_.data = bytes_.data();
  }

  const View& view() const { return view_; }

  std::vector<double> read() {
    std::vector<double> values;
    visit([&](auto& element) { values.push_back(static_cast<double>(element)); });
    return values;
  }
  void write(std::span<const double> values) {
    size_t next = 0;
    visit([&](auto& element) { element = static_cast<std::remove_reference_t<decltype(element)>>(values[next++]); });
  }
  void add(double value) {
    visit([&](auto& element) { element += static_cast<std::remove_reference_t<decltype(element)>>(value); });
  }
  bool surroundings_untouched() const {
    Buffer copy = *this;
    copy.view_.data = copy.bytes_.data();
    copy.visit([](auto& element) { std::fill_n(reinterpret_cast<std::byte*>(&element), sizeof element, kPoison); });
    return std::all_of(copy.bytes_.begin(), copy.bytes_.end(), [](std::byte byte) { return byte == kPoison; });
  }

 private:
  static constexpr std::byte kPoison{0xFF};

  /// Calls f(element&) in row-major order.
  template <class F>
  void visit(F f) {
    for (int64_t index = 0; index < view_.shape().elements(); ++index) {
      int64_t rest = index, at = 0;
      for (int axis = view_.shape().rank() - 1; axis >= 0; --axis) {
        at += rest % view_.shape()[axis] * view_.stride(axis);
        rest /= view_.shape()[axis];
      }
      if (view_.dtype == Dtype::f64) f(view_.as<double>()[at]);
      if (view_.dtype == Dtype::f32) f(view_.as<float>()[at]);
      if (view_.dtype == Dtype::i32) f(view_.as<int32_t>()[at]);
    }
  }

  std::vector<std::byte> bytes_;
  View view_;
};

/// Makes the node's kernel from layouts alone and runs it on poisoned scratch.
inline void run_node(const Node& node, std::vector<std::unique_ptr<Buffer>>& buffers, const RunOptions& run) {
  std::vector<View> inputs, outputs, input_layouts, output_layouts;
  const auto accumulate = std::make_unique<bool[]>(node.outputs.size());
  for (const int32_t id : node.inputs) inputs.push_back(buffers[static_cast<size_t>(id)]->view());
  for (size_t i = 0; i < node.outputs.size(); ++i) {
    Buffer& output = *buffers[static_cast<size_t>(node.outputs[i])];
    outputs.push_back(output.view());
    accumulate[i] = run.accumulate && node.op->accumulates(i);
    if (accumulate[i]) output.write(std::vector<double>(static_cast<size_t>(output.view().shape().elements()), 1.0));
  }
  for (View view : inputs) view.data = nullptr, input_layouts.push_back(view);
  for (View view : outputs) view.data = nullptr, output_layouts.push_back(view);
  const std::span<const bool> flags(accumulate.get(), node.outputs.size());
  const auto kernel = node.op->kernel({input_layouts, output_layouts, flags, run.kernels});
  GuardedScratch scratch(kernel->scratch_bytes()), shared_scratch(kernel->shared_scratch_bytes());
  kernel->run({.inputs = inputs,
               .outputs = outputs,
               .scratch = scratch.data(),
               .keys = run.keys,
               .shared_scratch = shared_scratch.data()});
  scratch.check(), shared_scratch.check();
  for (size_t i = 0; i < node.outputs.size(); ++i) {
    Buffer& output = *buffers[static_cast<size_t>(node.outputs[i])];
    EXPECT_TRUE(output.surroundings_untouched()) << node.op->name() << " wrote outside output " << i;
    if (accumulate[i]) output.add(-1);
  }
}

/// Runs what `build` makes of `inputs` and returns the built values.
inline Values evaluate(const Builder& build, std::span<const Array> inputs, const RunOptions& run) {
  Parameters parameters;
  Graph graph(run.dtype, run.kernels, parameters);
  std::vector<Var> vars;
  for (const Array& array : inputs)
    vars.push_back(
        graph.input(fmt::format("input{}", vars.size()), {array.integers ? Dtype::i32 : run.dtype, array.shape}));
  const std::vector<Var> results = build(vars);
  std::vector<std::unique_ptr<Buffer>> buffers;
  for (const Value& value : graph.values()) {
    buffers.push_back(std::make_unique<Buffer>(value.type, run.padding));
    if (value.kind == ValueKind::constant) buffers.back()->write(value.constants);
  }
  for (size_t i = 0; i < vars.size(); ++i) buffers[static_cast<size_t>(vars[i].id())]->write(inputs[i].values);
  for (const Node& node : graph.nodes()) run_node(node, buffers, run);
  Values values;
  for (const Var& result : results) values.push_back(buffers[static_cast<size_t>(result.id())]->read());
  return values;
}

/// Fixed weights that turn a tensor into a scalar whose gradient is tested.
inline std::vector<double> objective_weights(const Shape& shape) { return normal_array(shape, "objective").values; }

/// The gradients of sum(weights * y) with respect to the floating-point inputs, in order, where y = build(inputs)[0].
inline Values gradients(const Builder& build, std::span<const Array> inputs, const RunOptions& run) {
  const Builder with_gradients = [&](std::span<const Var> vars) {
    const Var y = build(vars)[0];
    std::vector<Var> wrt;
    for (const Var& var : vars)
      if (var.dtype() != Dtype::i32) wrt.push_back(var);
    return add_gradients(y, y.graph().constant("weights", y.shape(), objective_weights(y.shape())), wrt);
  };
  return evaluate(with_gradients, inputs, run);
}

/// Expects |a - b| <= tolerance (1 + |b|) for each element.
inline void expect_close(const Values& a, const Values& b, double tolerance, std::string_view what) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    ASSERT_EQ(a[i].size(), b[i].size());
    for (size_t j = 0; j < a[i].size(); ++j)
      ASSERT_NEAR(a[i][j], b[i][j], tolerance * (1 + std::fabs(b[i][j]))) << what << " " << i << ", element " << j;
  }
}

/// Expects the plain f64 gradients to equal central differences.
inline void expect_gradients(const Builder& build, std::span<const Array> inputs, double tolerance = 1e-7) {
  const RunOptions run;
  std::vector<Array> moved(inputs.begin(), inputs.end());
  const auto objective = [&] {
    const std::vector<double> y = evaluate(build, moved, run)[0];
    const std::vector<double> weights = objective_weights({static_cast<int64_t>(y.size())});
    double sum = 0;
    for (size_t i = 0; i < y.size(); ++i) sum += weights[i] * y[i];
    return sum;
  };
  constexpr double kStep = 1e-5;
  Values differences;
  for (Array& array : moved) {
    if (array.integers) continue;
    differences.emplace_back();
    for (double& value : array.values) {
      const double kept = value;
      value = kept + kStep;
      const double above = objective();
      value = kept - kStep;
      const double below = objective();
      value = kept;
      differences.back().push_back((above - below) / (2 * kStep));
    }
  }
  expect_close(gradients(build, inputs, run), differences, tolerance, "gradient");
}

/// Expects the fused f32 kernels, forward and gradients, to equal the plain f32 ones, with rows apart or not, and both
/// to equal themselves when they accumulate.
inline void expect_fused_equals_plain(const Builder& build, std::span<const Array> inputs, double tolerance) {
  for (const int64_t padding : {0, 3}) {
    const RunOptions plain{.dtype = Dtype::f32, .kernels = Kernels::plain, .padding = padding};
    RunOptions fused = plain, adding = plain;
    fused.kernels = Kernels::fused;
    adding.accumulate = true;
    const Values values = evaluate(build, inputs, plain);
    const Values slopes = gradients(build, inputs, plain);
    expect_close(evaluate(build, inputs, fused), values, tolerance, "fused value");
    expect_close(gradients(build, inputs, fused), slopes, tolerance, "fused gradient");
    expect_close(gradients(build, inputs, adding), slopes, tolerance, "accumulated plain gradient");
    adding.kernels = Kernels::fused;
    expect_close(gradients(build, inputs, adding), slopes, tolerance, "accumulated fused gradient");
  }
}

}  // namespace lra::engine::testing
