#include "harness/operation_gradients.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "engine/autodiff.h"
#include "engine/lanes.h"
#include "engine/op.h"
#include "engine/parameters.h"
#include "engine/plan.h"
#include "engine/random.h"

namespace lra::harness {
namespace {

using engine::Dtype;
using engine::Var;
using Values = std::vector<double>;

double dot(const Values& a, const Values& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

/// One output of one operation as a graph of its own in f64, with the gradient of each input.
class Alone {
 public:
  Alone(const engine::Node& node, const std::vector<engine::Type>& types, size_t output)
      : graph_(Dtype::f64, engine::Kernels::plain, parameters_) {
    std::vector<Var> inputs;
    for (const engine::Type& type : types) inputs.push_back(graph_.input(fmt::format("input{}", inputs.size()), type));
    const Var result = graph_.apply(node.op, inputs)[output];
    graph_.mark_output("result", result);
    const std::vector<Var> gradients = engine::add_gradients(result, graph_.input("seed", result.type()), inputs);
    for (size_t i = 0; i < gradients.size(); ++i) graph_.mark_output(fmt::format("gradient{}", i), gradients[i]);
    for (const Var& input : inputs) elements_.push_back(static_cast<size_t>(input.shape().elements()));
    elements_.push_back(static_cast<size_t>(result.shape().elements()));
  }

  /// Largest error of the slopes along random directions, one for each input. Slopes that are not finite (the square
  /// root of a negative number) say nothing.
  double error(engine::Stream& stream, double low, double high) const {
    constexpr double kStep = 1e-5;
    const engine::Plan plan(graph_);
    engine::Arena arena(plan.arena_bytes());
    std::vector<Values> bound;  // the inputs and the seed
    for (const size_t count : elements_) {
      Values& values = bound.emplace_back(count);
      for (double& value : values) value = low + (high - low) * stream.uniform();
    }
    const auto read = [&](const std::string& name) {
      std::vector<void*> pointers;
      for (Values& values : bound) pointers.push_back(values.data());
      const engine::Bindings bindings{.arena = arena.data(), .inputs = pointers};
      plan.run(bindings);
      const engine::View view = plan.output(name, bindings);  // plans make outputs contiguous
      return Values(view.as<double>(), view.as<double>() + view.shape().elements());
    };
    double worst = 0;
    for (size_t i = 0; i + 1 < bound.size(); ++i) {
      Values direction(bound[i].size());
      for (double& element : direction) element = stream.normal();
      const double expected = dot(read(fmt::format("gradient{}", i)), direction);
      const Values start = bound[i];
      const auto objective = [&](double step) {
        for (size_t j = 0; j < start.size(); ++j) bound[i][j] = start[j] + step * direction[j];
        return dot(read("result"), bound.back());
      };
      const double slope = (objective(kStep) - objective(-kStep)) / (2 * kStep);
      bound[i] = start;
      if (!std::isfinite(slope)) continue;
      const double off = std::abs(slope - expected) / std::max({1.0, std::abs(slope), std::abs(expected)});
      worst = std::isfinite(off) ? std::max(worst, off) : INFINITY;
    }
    return worst;
  }

 private:
  engine::Parameters parameters_;
  engine::Graph graph_;
  std::vector<size_t> elements_;  // of each input, then of the result
};

/// At positive arguments, where every function is defined, and at arguments of both signs.
bool is_wrong(const engine::Node& node, const std::vector<engine::Type>& types) {
  constexpr double kTolerance = 1e-5;  // truncation and rounding of central differences in f64
  engine::Stream stream(1, engine::Purpose::data, "operation_gradients");
  for (size_t output = 0; output < node.outputs.size(); ++output) {
    const Alone alone(node, types, output);
    if (alone.error(stream, 0.5, 1.5) > kTolerance || alone.error(stream, -2, 2) > kTolerance) return true;
  }
  return false;
}

}  // namespace

std::vector<std::string> operations_with_wrong_gradients(const AttendRequest& request) {
  [[maybe_unused]] const engine::Workers one(1);
  engine::Parameters parameters;
  engine::Graph graph(Dtype::f64, engine::Kernels::plain, parameters);
  build_attention(graph, request);
  std::vector<std::string> wrong;
  std::set<std::string> seen;
  for (const engine::Node& node : graph.nodes()) {
    std::vector<engine::Type> types;
    for (const int32_t input : node.inputs) types.push_back(graph.values()[static_cast<size_t>(input)].type);
    const bool numbers =
        std::all_of(types.begin(), types.end(), [](const engine::Type& type) { return type.dtype == Dtype::f64; });
    const std::string name(node.op->name());
    if (numbers && !seen.contains(name) && is_wrong(node, types)) {
      seen.insert(name);
      wrong.push_back(name);
    }
  }
  return wrong;
}

}  // namespace lra::harness
