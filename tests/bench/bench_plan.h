// One graph, planned once and run as often as the benchmark wants, on random numbers.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/aligned.h"
#include "engine/autodiff.h"
#include "engine/graph.h"
#include "engine/lanes.h"
#include "engine/parameters.h"
#include "engine/plan.h"
#include "engine/random.h"

namespace lra::bench {

enum class Pass { forward, forward_backward };

inline const char* name_of(Pass pass) { return pass == Pass::forward ? "fwd" : "fwd_bwd"; }

/// f32, production kernels, one thread. `build` makes a value of the inputs; with gradients, those of all inputs for a
/// given gradient of that value.
class BenchPlan {
 public:
  using Builder = std::function<engine::Var(engine::Graph& graph, std::span<const engine::Var> inputs)>;

  BenchPlan(const std::vector<engine::Shape>& shapes, Pass pass, const Builder& build) {
    engine::Workers(1);  // this thread runs oneDNN alone and flushes denormals, as in training
    engine::Graph graph(engine::Dtype::f32, engine::Kernels::fused, parameters_);
    std::vector<engine::Var> inputs;
    for (const engine::Shape& shape : shapes) inputs.push_back(add_input(graph, shape));
    const engine::Var y = build(graph, inputs);
    graph.mark_output("y", y);
    if (pass == Pass::forward_backward) {
      const std::vector<engine::Var> gradients = engine::add_gradients(y, add_input(graph, y.shape()), inputs);
      for (size_t i = 0; i < gradients.size(); ++i) graph.mark_output("gradient" + std::to_string(i), gradients[i]);
    }
    plan_ = std::make_unique<engine::Plan>(graph);
    arena_ = std::make_unique<engine::Arena>(plan_->arena_bytes());
    weights_.resize(static_cast<size_t>(parameters_.flat_elements()));
    sums_.resize(weights_.size());
    parameters_.initialize<float>(0, weights_);
  }

  const engine::Plan& plan() const { return *plan_; }
  void run() {
    std::vector<void*> pointers;
    for (engine::AlignedVector<float>& array : arrays_) pointers.push_back(array.data());
    plan_->run({.arena = arena_->data(), .parameters = weights_.data(), .gradients = sums_.data(), .inputs = pointers});
  }

 private:
  engine::Var add_input(engine::Graph& graph, const engine::Shape& shape) {
    const std::string name = "input" + std::to_string(arrays_.size());
    engine::Stream stream(0, engine::Purpose::data, name);
    arrays_.emplace_back(static_cast<size_t>(shape.elements()));
    for (float& element : arrays_.back()) element = static_cast<float>(stream.normal());
    return graph.input(name, {engine::Dtype::f32, shape});
  }

  engine::Parameters parameters_;
  std::unique_ptr<engine::Plan> plan_;
  std::unique_ptr<engine::Arena> arena_;
  std::vector<engine::AlignedVector<float>> arrays_;
  engine::AlignedVector<float> weights_, sums_;
};

}  // namespace lra::bench
