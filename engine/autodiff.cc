#include "engine/autodiff.h"

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <utility>

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
  std::vector<std::vector<std::function<Var()>>> deferred(forward_values);
  const auto add_to = [&](int32_t id, Var gradient) {
    LRA_CHECK(gradient.shape() == graph.values()[static_cast<size_t>(id)].type.shape,
              "a gradient of another shape than its value");
    Var& sum = gradients[static_cast<size_t>(id)];
    sum = sum.valid() ? add(sum, gradient) : gradient;
  };
  const auto gradient_of = [&](int32_t id) {
    for (const std::function<Var()>& make : std::exchange(deferred[static_cast<size_t>(id)], {})) add_to(id, make());
    return gradients[static_cast<size_t>(id)];
  };
  gradients[static_cast<size_t>(output.id())] = seed;
  const std::string scope = graph.scope();
  graph.set_backward(true);
  std::map<int32_t, std::optional<Remade>> remade;  // by node
  // What a gradient reads instead of a value of the forward pass: itself, or a copy made for the backward pass.
  const auto for_backward = [&](int32_t id) {
    const Var kept(&graph, id);
    const int32_t producer = graph.values()[static_cast<size_t>(id)].producer;
    if (producer < 0 || !graph.use_fused()) return kept;
    const auto [at, is_new] = remade.try_emplace(producer);
    const Node made_by = graph.nodes()[static_cast<size_t>(producer)];
    if (is_new) {
      std::vector<Var> inputs, outputs;
      for (const int32_t input : made_by.inputs) inputs.emplace_back(&graph, input);
      for (const int32_t made : made_by.outputs) outputs.emplace_back(&graph, made);
      const std::string where = graph.scope();
      graph.set_scope(made_by.scope);
      at->second = made_by.op->remake(inputs, outputs);
      graph.set_scope(where);
    }
    if (!at->second) return kept;
    const auto number = std::find(made_by.outputs.begin(), made_by.outputs.end(), id) - made_by.outputs.begin();
    return at->second->outputs[static_cast<size_t>(number)];
  };

  for (size_t at = forward_nodes; at-- > 0;) {
    const Node node = graph.nodes()[at];  // a copy: the list grows below
    std::vector<Var> inputs, outputs, output_gradients;
    const auto wanted = std::make_unique<bool[]>(node.inputs.size());
    bool reached = false, any_wanted = false;
    for (const int32_t id : node.outputs) {
      outputs.emplace_back(&graph, id);
      output_gradients.push_back(gradient_of(id));
      reached = reached || output_gradients.back().valid();
    }
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      wanted[i] = needed[static_cast<size_t>(node.inputs[i])];
      any_wanted = any_wanted || wanted[i];
    }
    if (!reached || !any_wanted) continue;
    graph.set_scope(node.scope);
    for (const int32_t id : node.inputs) inputs.push_back(for_backward(id));
    const auto remake = remade.find(static_cast<int32_t>(at));
    const std::span<const Var> extra =
        remake != remade.end() && remake->second ? std::span<const Var>(remake->second->extra) : std::span<const Var>();
    const std::function<void(size_t, std::function<Var()>)> defer = [&](size_t input, std::function<Var()> make) {
      if (!wanted[input]) return;
      deferred[static_cast<size_t>(node.inputs[input])].push_back([&graph, make = std::move(make), where = node.scope] {
        graph.set_scope(where);
        return make();
      });
    };
    const std::vector<Var> input_gradients =
        node.op->vjp({inputs, outputs, output_gradients, std::span(wanted.get(), node.inputs.size()), extra, defer});
    LRA_CHECK(input_gradients.size() == inputs.size(), std::string(node.op->name()) + ": one gradient an input");
    for (size_t i = 0; i < inputs.size(); ++i)
      if (wanted[i] && input_gradients[i].valid()) add_to(node.inputs[i], input_gradients[i]);
  }
  for (size_t id = 0; id < forward_values; ++id) {
    const Value& value = graph.values()[id];
    if (value.kind != ValueKind::parameter) continue;
    if (const Var gradient = gradient_of(static_cast<int32_t>(id)); gradient.valid())
      graph.accumulate_gradient(value.parameter, gradient);
  }
  std::vector<Var> result;
  for (const Var& var : wrt) {
    Var gradient = gradient_of(var.id());
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
