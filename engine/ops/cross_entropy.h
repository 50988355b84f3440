// The loss of a classifier.
#pragma once

#include "engine/graph.h"

namespace lra::engine {

struct CrossEntropy {
  Var loss;           // [], in nats
  Var probabilities;  // [classes], the softmax of the logits; not differentiable
};

/// -log softmax(logits)[label], by log-sum-exp about the largest logit. logits: [classes], label: i32 [1].
/// A label outside the classes makes the loss NaN: labels are checked where they are read.
CrossEntropy cross_entropy(Var logits, Var label);

}  // namespace lra::engine
