#include "engine/graph.h"

#include <fmt/format.h>

#include "engine/errors.h"
#include "engine/op.h"
#include "engine/parameters.h"

namespace lra::engine {
namespace {

/// The sink of a parameter's gradient: adds its input to the lane's sum. Planned by hand (see Plan).
class AccumulateOp final : public Op {
 public:
  std::string_view name() const override { return "accumulate_gradient"; }
  std::vector<Type> infer(std::span<const Type> inputs) const override { return {inputs[0]}; }
  bool accumulates(size_t) const override { return true; }
  std::vector<Var> vjp(const VjpArguments&) const override { return {Var()}; }

  std::unique_ptr<Kernel> kernel(const KernelRequest&) const override { return nullptr; }
};

}  // namespace

const Type& Var::type() const {
  LRA_CHECK(valid(), "an argument of no graph");
  return graph_->values()[static_cast<size_t>(id_)].type;
}

Graph::Graph(Dtype dtype, Kernels kernels, Parameters& parameters)
    : dtype_(dtype), kernels_(kernels), parameters_(parameters) {}

Var Graph::add_value(Value value) {
  values_.push_back(std::move(value));
  return Var(this, static_cast<int32_t>(values_.size()) - 1);
}

Var Graph::input(std::string name, Type type) {
  const Var var = add_value({.type = type, .kind = ValueKind::input, .name = name});
  inputs_.push_back({std::move(name), var.id()});
  return var;
}

Var Graph::parameter(int32_t index) {
  const auto at = static_cast<size_t>(index);
  if (parameter_values_.size() <= at) parameter_values_.resize(at + 1, -1);
  if (parameter_values_[at] < 0) {
    const Parameter& parameter = parameters_[index];
    parameter_values_[at] = add_value({.type = {dtype_, parameter.shape},
                                       .kind = ValueKind::parameter,
                                       .name = parameter.name,
                                       .parameter = index})
                                .id();
  }
  return Var(this, parameter_values_[at]);
}

Var Graph::constant(std::string name, Shape shape, std::vector<double> values) {
  LRA_CHECK(shape.elements() == static_cast<int64_t>(values.size()),
            fmt::format("constant {} of shape {} got {} elements", name, shape.to_string(), values.size()));
  return add_value(
      {.type = {dtype_, shape}, .kind = ValueKind::constant, .name = std::move(name), .constants = std::move(values)});
}

std::vector<Var> Graph::apply(std::shared_ptr<const Op> op, std::span<const Var> inputs) {
  std::vector<Type> types;
  Node node{.op = nullptr, .scope = scope_, .segment = segment_, .backward = backward_};
  for (const Var& input : inputs) {
    LRA_CHECK(input.valid() && &input.graph() == this,
              fmt::format("[{}] an argument is of no or another graph", op->name()));
    types.push_back(input.type());
    node.inputs.push_back(input.id());
  }
  std::vector<Var> outputs;
  for (const Type& type : op->infer(types)) {
    outputs.push_back(add_value({.type = type, .producer = static_cast<int32_t>(nodes_.size())}));
    node.outputs.push_back(outputs.back().id());
  }
  node.op = std::move(op);
  nodes_.push_back(std::move(node));
  return outputs;
}

Var Graph::apply1(std::shared_ptr<const Op> op, std::initializer_list<Var> inputs) {
  return apply(std::move(op), std::span(inputs.begin(), inputs.size())).front();
}

void Graph::accumulate_gradient(int32_t index, Var gradient) {
  static const auto kOp = std::make_shared<const AccumulateOp>();
  const Parameter& parameter = parameters_[index];
  LRA_CHECK(gradient.shape() == parameter.shape,
            fmt::format("gradient {} of parameter {} {}", gradient.shape().to_string(), parameter.name,
                        parameter.shape.to_string()));
  const Var sink = apply1(kOp, {gradient});
  Value& value = values_[static_cast<size_t>(sink.id())];
  value.kind = ValueKind::parameter_gradient;
  value.name = parameter.name;
  value.parameter = index;
}

void Graph::mark_output(std::string name, Var value) { outputs_.push_back({std::move(name), value.id()}); }

}  // namespace lra::engine
