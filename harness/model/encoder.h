// The graph of the classifier, layer by layer (lra-spec 3.1 and 3.3; Vaswani et al. 2017 with pre-norm).
#pragma once

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

/// Adds the whole model to `graph`: inputs, encoder, head, loss, and in training the gradients of all parameters.
/// `rows`: length of the encoder's sequence, CLS included. Each layer is a segment for recomputation.
void build_classifier(engine::Graph& graph, const ModelSpec& spec, int64_t rows, Mode mode,
                      engine::Activations activations = engine::Activations::kept);

}  // namespace lra::harness
