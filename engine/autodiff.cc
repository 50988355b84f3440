#include "engine/autodiff.h"

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
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

/// Adds the backward pass of one output. Gradients are kept by the ids of the forward pass; what they are made of may
/// be copies of its values.
class Differentiator {
 public:
  Differentiator(Graph& graph, std::span<const Var> wrt, Activations activations)
      : graph_(graph),
        activations_(activations),
        needed_(find_needed(graph, wrt)),
        forward_nodes_(graph.nodes().size()),
        gradients_(graph.values().size()),
        deferred_(graph.values().size()) {}

  void run(Var output, Var seed) {
    gradients_[at(output.id())] = seed;
    if (activations_ == Activations::recomputed)
      for (size_t node = 1; node < forward_nodes_; ++node)
        if (graph_.nodes()[node].segment != graph_.nodes()[node - 1].segment) graph_.begin_pipeline_at(node);
    for (size_t node = forward_nodes_; node-- > 0;) differentiate(node);
    for (size_t id = 0; id < gradients_.size(); ++id) {
      const Value& value = graph_.values()[id];
      if (value.kind != ValueKind::parameter) continue;
      if (const Var gradient = gradient_of(static_cast<int32_t>(id)); gradient.valid())
        graph_.accumulate_gradient(value.parameter, gradient);
    }
  }

  Var gradient_of(int32_t id) {
    for (const std::function<Var()>& make : std::exchange(deferred_[at(id)], {})) add_to(id, make());
    return gradients_[at(id)];
  }

 private:
  static size_t at(int32_t id) { return static_cast<size_t>(id); }

  void add_to(int32_t id, Var gradient) {
    LRA_CHECK(gradient.shape() == graph_.values()[at(id)].type.shape, "a gradient of another shape than its value");
    Var& sum = gradients_[at(id)];
    sum = sum.valid() ? add(sum, gradient) : gradient;
  }

  void differentiate(size_t number) {
    const Node node = graph_.nodes()[number];  // a copy: the list grows below
    const auto wanted = std::make_unique<bool[]>(node.inputs.size());
    std::vector<Var> inputs, outputs, output_gradients;
    bool reached = false, any_wanted = false;
    for (const int32_t id : node.outputs) {
      output_gradients.push_back(gradient_of(id));
      reached = reached || output_gradients.back().valid();
    }
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      wanted[i] = needed_[at(node.inputs[i])];
      any_wanted = any_wanted || wanted[i];
    }
    if (!reached || !any_wanted) return;
    if (activations_ == Activations::recomputed && node.segment != 0) recompute(node.segment);
    graph_.set_scope(node.scope);
    for (const int32_t id : node.inputs) inputs.push_back(for_backward(id));
    for (const int32_t id : node.outputs) outputs.emplace_back(&graph_, recomputed(id));
    const auto remade = remade_.find(graph_.values()[at(recomputed(node.outputs[0]))].producer);
    std::span<const Var> extra;
    if (remade != remade_.end() && remade->second) extra = remade->second->extra;
    const std::function<void(size_t, std::function<Var()>)> defer = [&](size_t input, std::function<Var()> make) {
      if (!wanted[input]) return;
      deferred_[at(node.inputs[input])].push_back([this, make = std::move(make), where = node.scope] {
        graph_.set_scope(where);
        return make();
      });
    };
    const std::vector<Var> made =
        node.op->vjp({inputs, outputs, output_gradients, std::span(wanted.get(), node.inputs.size()), extra, defer});
    LRA_CHECK(made.size() == inputs.size(), std::string(node.op->name()) + ": one gradient an input");
    for (size_t i = 0; i < inputs.size(); ++i)
      if (wanted[i] && made[i].valid()) add_to(node.inputs[i], made[i]);
  }

  /// Copies the nodes of a segment, once: the plan drops those that no gradient reads, and the originals' values die
  /// with the forward pass.
  void recompute(int32_t segment) {
    if (!recomputed_segments_.insert(segment).second) return;
    const size_t first = graph_.nodes().size();
    for (size_t number = 0; number < forward_nodes_; ++number) {
      const Node node = graph_.nodes()[number];
      if (node.segment != segment) continue;
      std::vector<Var> inputs;
      for (const int32_t id : node.inputs) inputs.emplace_back(&graph_, recomputed(id));
      graph_.set_scope(node.scope);
      const std::vector<Var> outputs = graph_.apply(node.op, inputs);
      for (size_t i = 0; i < outputs.size(); ++i) copies_[node.outputs[i]] = outputs[i].id();
    }
    graph_.begin_pipeline_at(first);
  }
  int32_t recomputed(int32_t id) const {
    const auto copy = copies_.find(id);
    return copy == copies_.end() ? id : copy->second;
  }

  /// What a gradient reads instead of a value of the forward pass: itself, its copy, or what its operation remakes.
  Var for_backward(int32_t forward_id) {
    const int32_t id = recomputed(forward_id);
    const Var kept(&graph_, id);
    const int32_t producer = graph_.values()[at(id)].producer;
    if (producer < 0 || !graph_.use_fused()) return kept;
    const auto [remade, is_new] = remade_.try_emplace(producer);
    const Node made_by = graph_.nodes()[at(producer)];
    if (is_new) {
      std::vector<Var> inputs, outputs;
      for (const int32_t input : made_by.inputs) inputs.emplace_back(&graph_, input);
      for (const int32_t output : made_by.outputs) outputs.emplace_back(&graph_, output);
      const std::string where = graph_.scope();
      graph_.set_scope(made_by.scope);
      remade->second = made_by.op->remake(inputs, outputs);
      graph_.set_scope(where);
    }
    if (!remade->second) return kept;
    const auto number = std::find(made_by.outputs.begin(), made_by.outputs.end(), id) - made_by.outputs.begin();
    return remade->second->outputs[static_cast<size_t>(number)];
  }

  Graph& graph_;
  Activations activations_;
  std::vector<bool> needed_;
  size_t forward_nodes_;
  std::vector<Var> gradients_;                               // by value of the forward pass
  std::vector<std::vector<std::function<Var()>>> deferred_;  // the same
  std::set<int32_t> recomputed_segments_;
  std::map<int32_t, int32_t> copies_;                // value of the forward pass, its copy
  std::map<int32_t, std::optional<Remade>> remade_;  // by node
};

}  // namespace

std::vector<Var> add_gradients(Var output, Var seed, std::span<const Var> wrt, Activations activations) {
  Graph& graph = output.graph();
  LRA_CHECK(output.shape() == seed.shape(), "the seed has another shape than the output");
  const std::string scope = graph.scope();
  graph.set_backward(true);
  graph.set_segment(0);
  Differentiator differentiator(graph, wrt, activations);
  differentiator.run(output, seed);
  std::vector<Var> result;
  for (const Var& var : wrt) {
    Var gradient = differentiator.gradient_of(var.id());
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
