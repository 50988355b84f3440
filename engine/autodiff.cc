#include "engine/autodiff.h"

#include <memory>

#include "engine/errors.h"
#include "engine/op.h"
#include "engine/ops/elementwise.h"

namespace lra::engine {
namespace {

/// Which values depend on a parameter or on one of `wrt`: only those need a gradient.
std::vector<bool> find_needed(const Graph& graph, std::span<const Var> wrt) {
  std::vector<bool> needed(graph.values().size(), false);
  for (size_t i = 0; i < graph.values().size(); ++i) needed[i] = graph.values()[i].kind == ValueKind::parameter;
  for (const Var& var : wrt) needed[static_cast<size_t>(var.id())] = true;
  for (const Node& node : graph.nodes()) {
    bool any = false;
    for (const int32_t input : node.inputs) any = any || needed[static_cast<size_t>(input)];
    for (const int32_t output : node.outputs)
      needed[static_cast<size_t>(output)] = needed[static_cast<size_t>(output)] || any;
  }
  return needed;
}

}  // namespace

std::vector<Var> add_gradients(Var output, Var seed, std::span<const Var> wrt) {
  Graph& graph = output.graph();
  LRA_CHECK(output.shape() == seed.shape(), "the seed has another shape than the output");
  const std::vector<bool> needed = find_needed(graph, wrt);
  const size_t forward_values = graph.values().size();
  const size_t forward_nodes = graph.nodes().size();
  std::vector<Var> gradients(forward_values);
  gradients[static_cast<size_t>(output.id())] = seed;
  const std::string scope = graph.scope();
  graph.set_backward(true);

  for (size_t at = forward_nodes; at-- > 0;) {
    const Node node = graph.nodes()[at];  // a copy: the list grows below
    std::vector<Var> inputs, outputs, output_gradients;
    const auto wanted = std::make_unique<bool[]>(node.inputs.size());
    bool reached = false, any_wanted = false;
    for (const int32_t id : node.outputs) {
      outputs.emplace_back(&graph, id);
      output_gradients.push_back(gradients[static_cast<size_t>(id)]);
      reached = reached || output_gradients.back().valid();
    }
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      inputs.emplace_back(&graph, node.inputs[i]);
      wanted[i] = needed[static_cast<size_t>(node.inputs[i])];
      any_wanted = any_wanted || wanted[i];
    }
    if (!reached || !any_wanted) continue;
    graph.set_scope(node.scope);
    const std::vector<Var> input_gradients =
        node.op->vjp({inputs, outputs, output_gradients, std::span(wanted.get(), node.inputs.size())});
    LRA_CHECK(input_gradients.size() == inputs.size(), std::string(node.op->name()) + ": one gradient an input");
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (!wanted[i] || !input_gradients[i].valid()) continue;
      LRA_CHECK(input_gradients[i].shape() == inputs[i].shape(),
                std::string(node.op->name()) + ": gradient of another shape than its input");
      Var& sum = gradients[static_cast<size_t>(node.inputs[i])];
      sum = sum.valid() ? add(sum, input_gradients[i]) : input_gradients[i];
    }
  }
  for (size_t id = 0; id < forward_values; ++id) {
    const Value& value = graph.values()[id];
    if (value.kind == ValueKind::parameter && gradients[id].valid())
      graph.accumulate_gradient(value.parameter, gradients[id]);
  }
  std::vector<Var> result;
  for (const Var& var : wrt) {
    Var gradient = gradients[static_cast<size_t>(var.id())];
    if (!gradient.valid())
      gradient = graph.constant("zero_gradient", var.shape(),
                                std::vector<double>(static_cast<size_t>(var.shape().elements()), 0.0));
    result.push_back(gradient);
  }
  graph.set_backward(false);
  graph.set_scope(scope);
  return result;
}

}  // namespace lra::engine
