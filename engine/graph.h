// The symbolic graph: values with shape and dtype, and the operations between them.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/tensor.h"

namespace lra::engine {

class Graph;
class Op;
class Parameters;

/// Which kernels a graph is built from: the plain definition (the oracle), or the fast ones.
enum class Kernels : uint8_t { plain, fused };

/// A symbolic value: a handle on a node's output, cheap to copy.
class Var {
 public:
  Var() = default;
  Var(Graph* graph, int32_t id) : graph_(graph), id_(id) {}

  bool valid() const { return graph_ != nullptr; }
  Graph& graph() const { return *graph_; }
  int32_t id() const { return id_; }
  const Type& type() const;
  const Shape& shape() const { return type().shape; }
  Dtype dtype() const { return type().dtype; }
  bool operator==(const Var&) const = default;

 private:
  Graph* graph_ = nullptr;
  int32_t id_ = -1;
};

/// Where a value comes from.
enum class ValueKind : uint8_t { input, parameter, constant, result, parameter_gradient };

struct Value {
  Type type;
  ValueKind kind = ValueKind::result;
  std::string name;               // inputs and constants: for messages; parameters and their gradients: the parameter's
  int32_t producer = -1;          // node, for results
  int32_t parameter = -1;         // index in Parameters, for parameters and their gradients
  std::vector<double> constants;  // for constants: the elements, rounded to the dtype when planned
};

struct Node {
  std::shared_ptr<const Op> op;
  std::vector<int32_t> inputs;
  std::vector<int32_t> outputs;
  std::string scope;             // where in the model, for profiles: "layers.0.attention"
  int32_t segment = 0;           // of the forward pass: what recomputation drops and makes again together; 0: kept
  bool begins_pipeline = false;  // never runs block by block together with earlier nodes
  bool backward = false;         // made by autodiff
};

/// A directed acyclic graph in the order of its making, which is a topological order.
class Graph {
 public:
  /// `parameters` outlives the graph and is shared by all graphs of one model.
  Graph(Dtype dtype, Kernels kernels, Parameters& parameters);
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  Dtype dtype() const { return dtype_; }
  /// True where an operation may use its fused f32 kernel; otherwise it composes plain operations.
  bool use_fused() const { return kernels_ == Kernels::fused && dtype_ == Dtype::f32; }
  Kernels kernels() const { return kernels_; }
  Parameters& parameters() const { return parameters_; }

  /// An argument of each execution, bound by name.
  Var input(std::string name, Type type);
  /// The parameter with this index in parameters().
  Var parameter(int32_t index);
  /// Fixed numbers, row-major; rounded to the graph's dtype.
  Var constant(std::string name, Shape shape, std::vector<double> values);
  /// Adds a node and returns its outputs.
  std::vector<Var> apply(std::shared_ptr<const Op> op, std::span<const Var> inputs);
  /// The same for operations with one output.
  Var apply1(std::shared_ptr<const Op> op, std::initializer_list<Var> inputs);
  /// Adds `gradient` to the lane's sum of gradients of parameter `index` whenever the graph runs.
  void accumulate_gradient(int32_t index, Var gradient);
  /// Keeps a value alive to the end of an execution, readable by name.
  void mark_output(std::string name, Var value);

  // Deques: what a Var hands out a reference to (its type, its shape) stays where it is while the graph grows.
  const std::deque<Value>& values() const { return values_; }
  const std::deque<Node>& nodes() const { return nodes_; }
  struct Named {
    std::string name;
    int32_t value;
  };
  const std::vector<Named>& inputs() const { return inputs_; }
  const std::vector<Named>& outputs() const { return outputs_; }

  /// Nodes made from now on carry this scope / are part of the backward pass.
  void set_scope(std::string scope) { scope_ = std::move(scope); }
  const std::string& scope() const { return scope_; }
  void set_backward(bool backward) { backward_ = backward; }
  /// Keeps what this node and later ones need from being alive together with what only earlier ones need.
  void begin_pipeline_at(size_t node) { nodes_[node].begins_pipeline = true; }
  /// Nodes made from now on belong to this segment (a layer, from 1), or to none (0).
  void set_segment(int32_t segment) { segment_ = segment; }

 private:
  Var add_value(Value value);

  Dtype dtype_;
  Kernels kernels_;
  Parameters& parameters_;
  std::deque<Value> values_;
  std::deque<Node> nodes_;
  std::vector<Named> inputs_;
  std::vector<Named> outputs_;
  std::vector<int32_t> parameter_values_;  // value of each parameter already in the graph, by index; -1 otherwise
  std::string scope_;
  int32_t segment_ = 0;
  bool backward_ = false;
};

}  // namespace lra::engine
