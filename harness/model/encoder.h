// The graph of the classifier, layer by layer (lra-spec 3.1 and 3.3; Vaswani et al. 2017 with pre-norm).
#pragma once

#include <vector>

#include "attention/attention.h"
#include "engine/autodiff.h"
#include "engine/graph.h"
#include "harness/model/model.h"

namespace lra::harness {

/// What a graph of the model is built from.
struct ModelSpec {
  const TrainConfig& config;
  const TaskShape& task;
  const attention::Mechanism& mechanism;
  const attention::Facts& facts;
  const attention::ParameterValues& attention_parameters;
};

/// What of it, and in which form.
struct GraphForm {
  Part part = Part::classifier;
  int64_t rows = 0;       // of the encoder's sequence, CLS included
  bool training = false;  // with dropout, and whatever else a mechanism draws
  bool gradients = false;
  engine::Activations activations = engine::Activations::kept;
};

/// Adds a part of the model to `graph`: its inputs, its operations, its outputs (see port), and, where asked for, the
/// gradients of its parameters and of what it takes from other parts. Each layer is a segment for recomputation.
void build_model(engine::Graph& graph, const ModelSpec& spec, const GraphForm& form);

/// Times d_model that the head of a pair reads: [a, b], or [a, b, a * b, a - b].
constexpr int64_t pair_parts(PairFeatures features) { return features == PairFeatures::kConcat ? 2 : 4; }

/// Widths of the classifier's hidden layers: d_classifier, then half of it where there is a second.
std::vector<int64_t> classifier_widths(const ModelConfig& model);

}  // namespace lra::harness
