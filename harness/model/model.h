// The classifier of the benchmark: embedding, pre-norm encoder, pooling, head, for any registered mechanism.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "attention/attention.h"
#include "engine/autodiff.h"
#include "engine/graph.h"
#include "engine/parameters.h"
#include "engine/plan.h"
#include "harness/config.h"

namespace lra::harness {

/// What the model must know of its task.
struct TaskShape {
  int64_t vocab_size = 0;
  int64_t num_classes = 0;
};

enum class Mode { train, infer };

/// Names of the inputs and outputs of the model's graphs, in the order of Bindings::inputs.
namespace port {
inline constexpr const char* kTokens = "tokens";           // i32 [n]
inline constexpr const char* kMask = "mask";               // [rows]: 1 for real tokens (and the CLS row), 0 for pads
inline constexpr const char* kLabel = "label";             // i32 [1]
inline constexpr const char* kLossWeight = "loss_weight";  // [1]: the example's share of the batch loss (train only)
inline constexpr const char* kLoss = "loss";               // [1]: cross entropy of this example, not weighted
inline constexpr const char* kLogits = "logits";           // [classes]
}  // namespace port

/// Model FLOPs: products of the definition only, 2mnk each; what is computed again is not counted.
struct ModelFlops {
  int64_t forward = 0;
  int64_t backward = 0;  // twice as much but for what a mechanism's facts say
  int64_t training() const { return forward + backward; }
};

/// Parameters and plans of one resolved configuration. Plans are made on demand, once per (rows, mode), and shared.
class Model {
 public:
  /// Throws UsageError when the mechanism refuses its parameters or the problem.
  Model(const TrainConfig& config, const TaskShape& task, engine::Dtype dtype, engine::Kernels kernels);

  const TrainConfig& config() const { return config_; }
  const TaskShape& task() const { return task_; }
  const engine::Parameters& parameters() const { return parameters_; }
  const attention::Mechanism& mechanism() const { return mechanism_; }
  const attention::Facts& attention_facts() const { return facts_; }
  const attention::ParameterValues& attention_parameters() const { return attention_parameters_; }
  bool has_cls() const { return config_.model.pooling == Pooling::kCls; }

  /// Rows at which a sequence of `length` tokens runs: its bucket (never empty: padding at least), or the full length
  /// for mechanisms that need it.
  int64_t rows_for(int64_t length) const;
  /// Rows of the longest sequence: the nominal length, plus one with CLS.
  int64_t max_rows() const { return config_.model.nominal_length + (has_cls() ? 1 : 0); }

  /// Whether training plans made from now on keep each layer's activations or make them again: the same numbers either
  /// way. Those made before are dropped when this changes.
  void set_activations(engine::Activations activations);
  engine::Activations activations() const { return activations_; }

  /// Thread-safe.
  const engine::Plan& plan(int64_t rows, Mode mode);

  /// Of one example of `length` tokens.
  ModelFlops flops(int64_t length) const;

 private:
  attention::ProblemSize problem_size(int64_t n) const;
  std::unique_ptr<const engine::Plan> make_plan(int64_t rows, Mode mode);

  TrainConfig config_;
  TaskShape task_;
  engine::Dtype dtype_;
  engine::Kernels kernels_;
  const attention::Mechanism& mechanism_;
  attention::Facts facts_;
  attention::ParameterValues attention_parameters_;
  engine::Parameters parameters_;
  engine::Activations activations_ = engine::Activations::kept;
  std::mutex mutex_;  // of parameters_ (declared while graphs are built) and plans_
  std::map<std::pair<int64_t, Mode>, std::unique_ptr<const engine::Plan>> plans_;
};

/// The mechanism's parameters of a configuration: JSON values to the types of the specs, defaults filled in, checked.
attention::ParameterValues attention_parameters(const TrainConfig& config);
/// Writes the completed parameters back, so that the configuration and its hash say what runs, and where the mechanism
/// comes from.
void complete_attention_parameters(TrainConfig& config);
/// Replaces the parameters of the mechanism by its defaults, numbers of tokens by at most `tokens`: for short
/// sequences.
void fit_attention_parameters(TrainConfig& config, int64_t tokens);

/// Learned numbers of the same model with softmax attention, for the ratio in the record.
int64_t softmax_model_parameters(const TrainConfig& config, const TaskShape& task);

}  // namespace lra::harness
