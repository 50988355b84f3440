// Linear classifiers on fixed features: what a predictor scores that sees pieces of a sequence, but not its order.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "tasks/dataset.h"
#include "tasks/task.h"

namespace lra::tasks {

/// Feature vectors and labels of some examples.
struct ProbeExamples {
  int64_t width = 0;            // features of an example
  std::vector<float> features;  // [examples, width]
  std::vector<int> labels;      // [examples]

  int64_t size() const { return static_cast<int64_t>(labels.size()); }
};

/// Writes the features of an example into `features`, which comes filled with zeros.
using FeaturesFn = std::function<void(const Split& split, int64_t example, std::span<float> features)>;

/// At most this many examples of a split are looked at, so that a probe of any data set takes seconds.
inline constexpr int64_t kMaxProbeExamples = 20'000;

/// The features of `max_examples` examples at even distances, or of all when there are fewer.
ProbeExamples probe_examples(const Split& split, int64_t width, const FeaturesFn& features,
                             int64_t max_examples = kMaxProbeExamples);

/// Multinomial logistic regression.
class LinearProbe {
 public:
  /// Fits the weights by L-BFGS from zero, on features brought to mean 0 and variance 1, with the penalty
  /// 1e-4 |w|^2 / 2 on the mean loss. `train` must have examples. The same weights for any number of threads.
  LinearProbe(const ProbeExamples& train, int num_classes);

  /// The share of right answers, 0..1.
  double accuracy(const ProbeExamples& examples) const;

  /// Iterations that the fit took.
  int iterations() const { return iterations_; }

 private:
  std::vector<float> standardized(const ProbeExamples& examples) const;

  int64_t width_;
  int num_classes_;
  std::vector<float> mean_;            // [width]
  std::vector<float> inverse_stddev_;  // [width]; 0 for a feature that never changes
  std::vector<float> weights_;         // [width + 1, classes]; the last row is the bias
  int iterations_ = 0;
};

/// Fits on the train split and scores on the test split. Both must have examples.
ShortcutBaseline probe_baseline(const Dataset& dataset, std::string name, int64_t width, const FeaturesFn& features,
                                std::string explanation);

/// A probe on log(1 + count) of each token id, of each input by itself. Ids from 1,023 on are counted together.
ShortcutBaseline token_histogram_baseline(const Dataset& dataset, std::string name);

}  // namespace lra::tasks
