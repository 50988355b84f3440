// The model of the benchmark, for any registered mechanism: embedding, pre-norm encoder, pooling, and a head that
// classifies one sequence or two.
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
#include "harness/task_shape.h"

namespace lra::harness {

enum class Mode { train, infer };

/// Names of the inputs and outputs of the model's graphs. Inputs in the order of Bindings::inputs: the classifier has
/// tokens, mask, label, loss weight; the encoder of a pair tokens, mask, pooled gradient; the head of a pair first,
/// second, label, loss weight. Where masked rows are dropped, positions come after the mask.
namespace port {
inline constexpr const char* kTokens = "tokens";           // i32 [n]
inline constexpr const char* kMask = "mask";               // [rows]: 1 for real tokens (and the CLS row), else 0
inline constexpr const char* kPositions = "positions";     // i32 [rows]: places in the whole sequence, all different
inline constexpr const char* kLabel = "label";             // i32 [1]
inline constexpr const char* kLossWeight = "loss_weight";  // [1]: the example's share of the batch loss
inline constexpr const char* kLoss = "loss";               // [1]: cross entropy of this example, not weighted
inline constexpr const char* kLogits = "logits";           // [classes]
inline constexpr const char* kPooled = "pooled";           // [1, d_model]: of one sequence of a pair
inline constexpr const char* kPooledGradient = "pooled_gradient";  // [1, d_model]: of the weighted loss
inline constexpr const char* kFirst = "first";                     // [1, d_model]: pooled, of the first sequence
inline constexpr const char* kSecond = "second";
inline constexpr const char* kFirstGradient = "first_gradient";  // [1, d_model]: of the weighted loss
inline constexpr const char* kSecondGradient = "second_gradient";
}  // namespace port

/// What a graph of the model covers: one sequence and its class; one of the two sequences of a pair; what makes a class
/// of the two. A weight or a gradient is an input only of graphs that carry a gradient back.
enum class Part { classifier, encoder, head };

/// Model FLOPs: products of the definition only, 2mnk each; what is computed again is not counted.
struct ModelFlops {
  int64_t forward = 0;
  int64_t backward = 0;  // twice as much but for what a mechanism's facts say
  int64_t training() const { return forward + backward; }
  ModelFlops operator+(const ModelFlops& other) const {
    return {.forward = forward + other.forward, .backward = backward + other.backward};
  }
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
  bool has_cls() const { return config_.model.has_cls(); }
  bool drops_masked_rows() const { return config_.drops_masked_rows(); }

  /// Rows at which a sequence of `length` tokens runs: its bucket (never empty: padding at least), or the full length
  /// for mechanisms and poolings that need it.
  int64_t rows_for(int64_t length) const;
  int64_t max_rows() const { return config_.model.max_rows(); }

  /// Whether training plans made from now on keep each layer's activations or make them again: the same numbers either
  /// way. Those made before are dropped when this changes.
  void set_activations(engine::Activations activations);
  engine::Activations activations() const { return activations_; }

  bool is_pair() const { return task_.is_pair(); }

  /// The classifier's, or in a pair the encoder's, for one sequence. Thread-safe.
  const engine::Plan& plan(int64_t rows, Mode mode) {
    return plan({is_pair() ? Part::encoder : Part::classifier, rows, mode});
  }
  /// The head's, of a pair. Thread-safe.
  const engine::Plan& head_plan(Mode mode) { return plan({Part::head, 0, mode}); }

  /// Of the encoder on one sequence of `length` tokens, and of the head on an example.
  ModelFlops encoder_flops(int64_t length) const;
  ModelFlops head_flops() const;
  /// Of one example whose sequences all have `length` tokens.
  ModelFlops flops(int64_t length) const;

 private:
  struct PlanKey {
    Part part;
    int64_t rows;
    Mode mode;
    auto operator<=>(const PlanKey&) const = default;
  };

  bool runs_padded() const;
  const engine::Plan& plan(const PlanKey& key);
  std::unique_ptr<const engine::Plan> make_plan(const PlanKey& key);

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
  std::map<PlanKey, std::unique_ptr<const engine::Plan>> plans_;
};

/// The mechanism's parameters of a configuration: JSON values to the types of the specs, defaults filled in, checked.
attention::ParameterValues attention_parameters(const TrainConfig& config);
/// Refuses a mechanism, or parameters of it, that the sizes of a derived configuration do not suit. Throws UsageError.
void check_attention(const TrainConfig& config);
/// Writes the completed parameters back, so that the configuration and its hash say what runs, and where the mechanism
/// comes from; settles model.masked_rows = auto likewise.
void complete_attention_parameters(TrainConfig& config);
/// Replaces the parameters of the mechanism by its defaults, or by what fits the rows of a derived configuration and is
/// at most `most_tokens` (attention::fitting_parameters).
void fit_attention_parameters(TrainConfig& config, int64_t most_tokens);

/// Learned numbers of the same model with softmax attention, for the ratio in the record.
int64_t softmax_model_parameters(const TrainConfig& config, const TaskShape& task);

}  // namespace lra::harness
