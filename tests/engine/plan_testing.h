// Running graphs through plans in poisoned memory, and through an interpreter that optimises nothing.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

#include "engine/autodiff.h"
#include "engine/graph.h"
#include "engine/lanes.h"
#include "engine/op.h"
#include "engine/parameters.h"
#include "engine/plan.h"
#include "tests/engine/op_testing.h"

namespace lra::engine::testing {

/// Offsets of the elements of a layout in row-major order.
inline std::vector<int64_t> offsets_of(const Layout& layout) {
  std::vector<int64_t> offsets;
  for (int64_t index = 0; index < layout.shape.elements(); ++index) {
    int64_t rest = index, at = layout.offset;
    for (int axis = layout.shape.rank() - 1; axis >= 0; --axis) {
      at += rest % layout.shape[axis] * layout.strides[static_cast<size_t>(axis)];
      rest /= layout.shape[axis];
    }
    offsets.push_back(at);
  }
  return offsets;
}

/// Elements of a dtype in bytes, and back.
inline std::vector<std::byte> to_bytes(Dtype dtype, std::span<const double> values) {
  std::vector<std::byte> bytes(values.size() * bytes_of(dtype));
  for (size_t i = 0; i < values.size(); ++i) {
    if (dtype == Dtype::f64) reinterpret_cast<double*>(bytes.data())[i] = values[i];
    if (dtype == Dtype::f32) reinterpret_cast<float*>(bytes.data())[i] = static_cast<float>(values[i]);
    if (dtype == Dtype::i32) reinterpret_cast<int32_t*>(bytes.data())[i] = static_cast<int32_t>(values[i]);
  }
  return bytes;
}

inline std::vector<double> from_bytes(Dtype dtype, const void* data, size_t count) {
  std::vector<double> values(count);
  for (size_t i = 0; i < count; ++i) {
    if (dtype == Dtype::f64) values[i] = static_cast<const double*>(data)[i];
    if (dtype == Dtype::f32) values[i] = static_cast<double>(static_cast<const float*>(data)[i]);
    if (dtype == Dtype::i32) values[i] = static_cast<const int32_t*>(data)[i];
  }
  return values;
}

/// Every value of a graph in memory of its own, contiguous, made by kernels that never accumulate: what a plan must
/// equal, whatever it shares, packs, skips or adds in place.
class Interpreter {
 public:
  explicit Interpreter(const Graph& graph) : graph_(graph), values_(graph.values().size()) {
    for (size_t id = 0; id < values_.size(); ++id)
      if (graph.values()[id].kind == ValueKind::constant)
        values_[id] = to_bytes(type(id).dtype, graph.values()[id].constants);
  }
  void set(Var var, std::span<const double> values) { values_[at(var.id())] = to_bytes(var.dtype(), values); }

  void run() {
    gradients_.assign(static_cast<size_t>(graph_.parameters().count()), {});
    for (const Node& node : graph_.nodes()) {
      for (const int32_t id : node.outputs) values_[at(id)].assign(bytes(at(id)), std::byte{0xFF});
      if (graph_.values()[at(node.outputs[0])].kind == ValueKind::parameter_gradient) {
        sink(node);
      } else if (const auto* view = dynamic_cast<const ViewOp*>(node.op.get())) {
        for (size_t i = 0; i < node.outputs.size(); ++i)
          copy(node.inputs[0], *view->view(layout(node.inputs[0]), i), node.outputs[i], layout(node.outputs[i]));
      } else if (const auto* pack = dynamic_cast<const PackOp*>(node.op.get())) {
        for (size_t i = 0; i < node.inputs.size(); ++i)
          copy(node.inputs[i], layout(node.inputs[i]), node.outputs[0],
               pack->piece(layout(node.outputs[0]), types(node), i));
      } else {
        run_kernel(node);
      }
    }
  }

  std::vector<double> read(int32_t id) const {
    return from_bytes(type(at(id)).dtype, values_[at(id)].data(), static_cast<size_t>(type(at(id)).shape.elements()));
  }
  /// Sum of what reached a parameter; empty when nothing did.
  const std::vector<double>& gradient(int32_t parameter) const { return gradients_[at(parameter)]; }

 private:
  static size_t at(int32_t id) { return static_cast<size_t>(id); }
  const Type& type(size_t id) const { return graph_.values()[id].type; }
  size_t bytes(size_t id) const { return static_cast<size_t>(type(id).shape.elements()) * bytes_of(type(id).dtype); }
  Layout layout(int32_t id) const { return Layout::contiguous(type(at(id)).shape); }
  std::vector<Type> types(const Node& node) const {
    std::vector<Type> all;
    for (const int32_t id : node.inputs) all.push_back(type(at(id)));
    return all;
  }

  void sink(const Node& node) {
    const std::vector<double> reached = read(node.inputs[0]);
    std::vector<double>& sum = gradients_[at(graph_.values()[at(node.outputs[0])].parameter)];
    sum.resize(reached.size());
    for (size_t i = 0; i < sum.size(); ++i) sum[i] += reached[i];
  }
  void copy(int32_t from, const Layout& source, int32_t to, const Layout& target) {
    ASSERT_EQ(source.shape, target.shape);
    const std::vector<int64_t> reads = offsets_of(source), writes = offsets_of(target);
    const size_t element = bytes_of(type(at(from)).dtype);
    for (size_t i = 0; i < reads.size(); ++i)
      std::memcpy(values_[at(to)].data() + at(static_cast<int32_t>(writes[i])) * element,
                  values_[at(from)].data() + at(static_cast<int32_t>(reads[i])) * element, element);
  }
  void run_kernel(const Node& node) {
    std::vector<View> inputs, outputs;
    const auto view = [&](int32_t id) {
      return View{.data = values_[at(id)].data(), .dtype = type(at(id)).dtype, .layout = layout(id)};
    };
    for (const int32_t id : node.inputs) inputs.push_back(view(id));
    for (const int32_t id : node.outputs) outputs.push_back(view(id));
    const auto accumulate = std::make_unique<bool[]>(outputs.size());
    const auto kernel = node.op->kernel({inputs, outputs, std::span(accumulate.get(), outputs.size()), Kernels::plain});
    Arena scratch(static_cast<int64_t>(kernel->scratch_bytes()));
    scratch.poison();
    kernel->run({.inputs = inputs, .outputs = outputs, .scratch = scratch.data(), .keys = RunOptions().keys});
  }

  const Graph& graph_;
  std::vector<std::vector<std::byte>> values_;
  std::vector<std::vector<double>> gradients_;
};

struct PlanOptions {
  Dtype dtype = Dtype::f64;
  Kernels kernels = Kernels::plain;
  bool as_parameters = false;  // floating-point arguments are parameters: their gradients are the lane's sums
};

/// What `build` makes of its arguments, planned once and run on other arguments as often as wanted.
class Planned {
 public:
  /// `gradients`: also of sum(weights * y) with respect to the floating-point arguments, y the first built value.
  Planned(const Builder& build, std::span<const Array> arguments, bool gradients, const PlanOptions& options = {})
      : options_(options), graph_(options.dtype, options.kernels, parameters_) {
    for (const Array& array : arguments) {
      const std::string name = fmt::format("argument{}", arguments_.size());
      if (options.as_parameters && !array.integers) {
        arguments_.push_back(graph_.parameter(parameters_.declare(name, array.shape, init_constant(0))));
      } else {
        arguments_.push_back(graph_.input(name, {array.integers ? Dtype::i32 : options.dtype, array.shape}));
      }
    }
    results_ = build(arguments_);
    if (gradients) differentiate();
    for (size_t i = 0; i < results_.size(); ++i) graph_.mark_output(fmt::format("result{}", i), results_[i]);
    plan_ = std::make_unique<Plan>(graph_);
    arena_ = std::make_unique<Arena>(plan_->arena_bytes());
  }

  const Graph& graph() const { return graph_; }
  const Plan& plan() const { return *plan_; }

  /// Built values, then the gradients in order of the arguments; run by a team of so many threads.
  Values run(std::span<const Array> arguments, int members = 1) {
    std::vector<std::vector<std::byte>> inputs;
    std::vector<double> flat(static_cast<size_t>(parameters_.flat_elements()), 0.0);
    int32_t next = 0;
    for (size_t i = 0; i < arguments.size(); ++i) {
      if (options_.as_parameters && !arguments[i].integers) {
        std::copy(arguments[i].values.begin(), arguments[i].values.end(), flat.begin() + parameters_[next++].offset);
      } else {
        inputs.push_back(to_bytes(arguments_[i].dtype(), arguments[i].values));
      }
    }
    std::vector<void*> pointers;
    for (std::vector<std::byte>& input : inputs) pointers.push_back(input.data());
    std::vector<std::byte> weights = to_bytes(options_.dtype, flat);
    std::vector<std::byte> sums = to_bytes(options_.dtype, std::vector<double>(flat.size(), 1.0));
    arena_->poison();
    const Bindings bindings{.arena = arena_->data(),
                            .parameters = weights.data(),
                            .gradients = sums.data(),
                            .inputs = pointers,
                            .keys = RunOptions().keys};
    members == 1 ? plan_->run(bindings) : run_in_team(bindings, members);
    Values values;
    for (size_t i = 0; i < results_.size(); ++i) {
      const View view = plan_->output(fmt::format("result{}", i), bindings);
      EXPECT_TRUE(view.layout.is_contiguous());
      EXPECT_EQ(view.shape(), results_[i].shape());
      values.push_back(from_bytes(view.dtype, view.data, static_cast<size_t>(view.shape().elements())));
    }
    if (differentiated_ && options_.as_parameters) read_sums(sums, values);
    return values;
  }

  /// The same numbers by the interpreter.
  Values interpret(std::span<const Array> arguments) const {
    Interpreter interpreter(graph_);
    for (size_t i = 0; i < arguments.size(); ++i) interpreter.set(arguments_[i], arguments[i].values);
    interpreter.run();
    Values values;
    for (const Var& result : results_) values.push_back(interpreter.read(result.id()));
    for (int32_t i = 0; differentiated_ && options_.as_parameters && i < parameters_.count(); ++i) {
      values.push_back(interpreter.gradient(i));
      values.back().resize(static_cast<size_t>(parameters_[i].shape.elements()));  // unreached: zero
    }
    return values;
  }

 private:
  void run_in_team(const Bindings& bindings, int members) const {
    Workers workers(members);
    std::vector<Arena> own;
    for (int member = 0; member < members; ++member) own.emplace_back(plan_->own_bytes()).poison();
    workers.run_in_teams(1, [&](Seat seat) {
      Bindings mine = bindings;
      mine.own = own[static_cast<size_t>(seat.worker)].data();
      mine.member = seat.member;
      plan_->run(mine);
    });
  }
  void differentiate() {
    differentiated_ = true;
    std::vector<Var> wrt;
    for (const Var& var : arguments_)
      if (var.dtype() != Dtype::i32 && !options_.as_parameters) wrt.push_back(var);
    const Var y = results_[0];
    const std::vector<Var> gradients =
        add_gradients(y, graph_.constant("weights", y.shape(), objective_weights(y.shape())), wrt);
    results_.insert(results_.end(), gradients.begin(), gradients.end());
  }
  /// Sums started at 1, and so do the gaps between them, which nobody may touch.
  void read_sums(const std::vector<std::byte>& sums, Values& values) const {
    std::vector<double> all = from_bytes(options_.dtype, sums.data(), sums.size() / bytes_of(options_.dtype));
    for (const Parameter& parameter : parameters_.list()) {
      const auto begin = all.begin() + parameter.offset, end = begin + parameter.shape.elements();
      values.emplace_back(begin, end);
      for (double& value : values.back()) value -= 1;
      std::fill(begin, end, 1.0);
    }
    for (const double gap : all) EXPECT_EQ(gap, 1.0) << "a gradient was written outside its parameter";
  }

  PlanOptions options_;
  Parameters parameters_;
  Graph graph_;
  std::vector<Var> arguments_, results_;
  std::unique_ptr<Plan> plan_;
  std::unique_ptr<Arena> arena_;
  bool differentiated_ = false;
};

/// Central differences of sum(weights * y) in f64, y the first value that `build` makes.
inline Values central_differences(const Builder& build, std::span<const Array> arguments, double step = 1e-5) {
  Planned forward(build, arguments, false);
  std::vector<Array> moved(arguments.begin(), arguments.end());
  const auto objective = [&] {
    const std::vector<double> y = forward.run(moved)[0];
    const std::vector<double> weights = objective_weights({static_cast<int64_t>(y.size())});
    double sum = 0;
    for (size_t i = 0; i < y.size(); ++i) sum += weights[i] * y[i];
    return sum;
  };
  Values differences;
  for (Array& array : moved) {
    if (array.integers) continue;
    differences.emplace_back();
    for (double& value : array.values) {
      const double kept = value;
      value = kept + step;
      const double above = objective();
      value = kept - step;
      differences.back().push_back((above - objective()) / (2 * step));
      value = kept;
    }
  }
  return differences;
}

/// All that an operation owes: plans in f64 equal the interpreter, gradients equal finite differences whether the
/// arguments are inputs or parameters, and both kinds of f32 kernels equal f64.
inline void expect_operation(const Builder& build, std::span<const Array> arguments, double f32_tolerance = 2e-5) {
  const Values differences = central_differences(build, arguments);
  for (const bool as_parameters : {false, true}) {
    SCOPED_TRACE(as_parameters ? "arguments are parameters" : "arguments are inputs");
    Planned wide(build, arguments, true, {.as_parameters = as_parameters});
    const Values expected = wide.run(arguments);
    expect_close(expected, wide.interpret(arguments), 1e-12, "f64 plan against the interpreter: value");
    const Values slopes(expected.end() - static_cast<std::ptrdiff_t>(differences.size()), expected.end());
    expect_close(slopes, differences, 1e-7, "gradient against finite differences: argument");
    for (const Kernels kernels : {Kernels::plain, Kernels::fused}) {
      SCOPED_TRACE(kernels == Kernels::plain ? "f32 plain" : "f32 fused");
      Planned narrow(build, arguments, true, {Dtype::f32, kernels, as_parameters});
      expect_close(narrow.run(arguments), expected, f32_tolerance, "f32 against f64: value");
    }
  }
}

/// The same for arguments of these shapes.
inline void expect_operation(const Builder& build, std::initializer_list<Shape> shapes, double f32_tolerance = 2e-5) {
  std::vector<Array> arguments;
  for (const Shape& shape : shapes)
    arguments.push_back(normal_array(shape, fmt::format("argument{}", arguments.size())));
  expect_operation(build, arguments, f32_tolerance);
}

}  // namespace lra::engine::testing
