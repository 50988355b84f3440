// Logits, losses and gradients of given examples, outside training: `lra predict`.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "harness/model/model.h"

namespace lra::harness {

struct PredictRequest {
  int64_t n = 0;  // tokens of a row
  /// [examples, n] (pairs: [examples, 2, n]), ids of the vocabulary. 0 is padding, and so are a row's trailing zeros;
  /// of images every token is a pixel, and 0 is black.
  std::vector<int64_t> tokens;
  std::vector<int64_t> labels;     // [examples], each below the number of classes; empty: no losses
  bool gradients = false;          // of the mean loss with respect to every parameter; needs labels
  int threads = 1;                 // the result does not depend on it
  int64_t memory_limit_bytes = 0;  // 0: what the machine and its cgroup have available
};

struct Prediction {
  std::vector<double> logits;     // [examples, classes]
  std::vector<double> losses;     // [examples], cross entropy; empty without labels
  std::vector<double> gradients;  // flat as Parameters lays them out; empty when not asked for
  int64_t correct = 0;            // of the labels, by the largest logit
  double mean_loss() const;
};

/// The inference form of a configuration's model (no dropout) in a dtype of one's choice, and its gradients.
class Predictor {
 public:
  /// Throws as Model. `kernels` matters in f32 only: f64 graphs are plain.
  Predictor(const TrainConfig& config, const TaskShape& task, engine::Dtype dtype, engine::Kernels kernels);

  const engine::Parameters& parameters() const { return model_.parameters(); }
  const TaskShape& task() const { return model_.task(); }

  /// Runs every example at the length the harness would give it. `weights` are flat as parameters() lays them out, and
  /// are rounded to the dtype; so is every number of the result.
  /// Throws UsageError for a request that does not fit itself or the model, DataError for ids and labels out of range,
  /// ResourceError, before anything large is allocated, for what does not fit in memory.
  Prediction predict(const PredictRequest& request, std::span<const double> weights) const;

 private:
  std::unique_ptr<const engine::Plan> make_plan(int64_t rows, bool gradients) const;
  void check(const PredictRequest& request) const;
  template <class T>
  Prediction execute(const PredictRequest& request, std::span<const double> weights) const;

  Model model_;
  engine::Dtype dtype_;
  engine::Kernels kernels_;
};

}  // namespace lra::harness
