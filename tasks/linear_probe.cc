#include "tasks/linear_probe.h"

#include <fmt/format.h>

#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <deque>

#include "engine/errors.h"

namespace lra::tasks {
namespace {

using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using ConstMatrixMap = Eigen::Map<const Matrix>;
using Vector = Eigen::VectorXd;

constexpr double kPenalty = 1e-4;
constexpr int kMaxIterations = 100;
constexpr double kGradientTolerance = 1e-4;
constexpr int64_t kMaxHistogramWidth = 1024;

/// Mean cross entropy of softmax(X w) with the penalty, and its gradient.
class LogisticLoss {
 public:
  /// features: [examples, width + 1], labels: [examples].
  LogisticLoss(ConstMatrixMap features, const std::vector<int>& labels, int num_classes)
      : features_(features), labels_(labels), num_classes_(num_classes) {}

  int64_t parameters() const { return features_.cols() * num_classes_; }

  double operator()(const Vector& w, Vector& gradient) {
    weights_ = Eigen::Map<const Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>(
                   w.data(), features_.cols(), num_classes_)
                   .cast<float>();
    probabilities_.noalias() = features_ * weights_;
    double loss = 0;
    for (Eigen::Index i = 0; i < probabilities_.rows(); ++i) {
      auto row = probabilities_.row(i);
      const auto label = static_cast<Eigen::Index>(labels_[static_cast<size_t>(i)]);
      const float largest = row.maxCoeff();
      const float of_label = row(label) - largest;
      row = (row.array() - largest).exp();
      const float sum = row.sum();
      loss += std::log(static_cast<double>(sum)) - static_cast<double>(of_label);
      row /= sum;
      row(label) -= 1;
    }
    const double examples = static_cast<double>(probabilities_.rows());
    products_.noalias() = features_.transpose() * probabilities_;
    gradient = Eigen::Map<const Eigen::VectorXf>(products_.data(), w.size()).cast<double>() / examples + kPenalty * w;
    return loss / examples + kPenalty / 2 * w.squaredNorm();
  }

 private:
  ConstMatrixMap features_;
  const std::vector<int>& labels_;
  int num_classes_;
  Matrix weights_, probabilities_, products_;
};

/// L-BFGS with backtracking. Source: Nocedal and Wright, Numerical Optimization, algorithms 7.4 and 7.5.
int minimize(LogisticLoss& loss, Vector& w) {
  constexpr size_t kMemory = 10;
  constexpr double kSufficientDecrease = 1e-4;
  struct Pair {
    Vector step, change;
    double inverse_product = 0;
  };
  std::deque<Pair> memory;
  Vector gradient, next_gradient;
  double value = loss(w, gradient);
  for (int iteration = 0; iteration < kMaxIterations; ++iteration) {
    if (gradient.norm() < kGradientTolerance) return iteration;
    Vector direction = -gradient;
    std::vector<double> alpha(memory.size());
    for (size_t i = memory.size(); i-- > 0;) {
      alpha[i] = memory[i].inverse_product * memory[i].step.dot(direction);
      direction -= alpha[i] * memory[i].change;
    }
    if (!memory.empty()) {
      direction /= memory.back().inverse_product * memory.back().change.squaredNorm();
    }
    for (size_t i = 0; i < memory.size(); ++i) {
      const double beta = memory[i].inverse_product * memory[i].change.dot(direction);
      direction += (alpha[i] - beta) * memory[i].step;
    }
    const double slope = direction.dot(gradient);
    double length = 1;
    Vector next = w + direction;
    double next_value = loss(next, next_gradient);
    while (next_value > value + kSufficientDecrease * length * slope) {
      length /= 2;
      if (length < 1e-6) return iteration;  // rounding: there is nothing left to gain
      next = w + length * direction;
      next_value = loss(next, next_gradient);
    }
    const Vector step = next - w;
    const Vector change = next_gradient - gradient;
    if (const double product = step.dot(change); product > 0) {
      memory.push_back({step, change, 1 / product});
      if (memory.size() > kMemory) memory.pop_front();
    }
    w = next;
    gradient = next_gradient;
    value = next_value;
  }
  return kMaxIterations;
}

}  // namespace

ProbeExamples probe_examples(const Split& split, int64_t width, const FeaturesFn& features, int64_t max_examples) {
  const int64_t count = std::min(split.size(), max_examples);
  ProbeExamples examples{.width = width};
  examples.features.resize(static_cast<size_t>(count * width), 0);
  for (int64_t i = 0; i < count; ++i) {
    const int64_t example = i * split.size() / count;
    features(split, example,
             std::span(examples.features).subspan(static_cast<size_t>(i * width), static_cast<size_t>(width)));
    examples.labels.push_back(split.label(example));
  }
  return examples;
}

LinearProbe::LinearProbe(const ProbeExamples& train, int num_classes) : width_(train.width), num_classes_(num_classes) {
  LRA_CHECK(train.size() > 0 && train.width > 0, "a probe needs examples and features");
  const ConstMatrixMap features(train.features.data(), train.size(), width_);
  const Eigen::RowVectorXd mean = features.cast<double>().colwise().mean();
  Eigen::RowVectorXd variance = Eigen::RowVectorXd::Zero(width_);
  for (int64_t i = 0; i < train.size(); ++i) {
    variance += (features.row(i).cast<double>() - mean).array().square().matrix();
  }
  variance /= static_cast<double>(train.size());
  for (int64_t k = 0; k < width_; ++k) {
    constexpr double kConstantVariance = 1e-10;
    mean_.push_back(static_cast<float>(mean(k)));
    inverse_stddev_.push_back(variance(k) > kConstantVariance ? static_cast<float>(1 / std::sqrt(variance(k))) : 0);
  }
  const std::vector<float> rows = standardized(train);
  LogisticLoss loss(ConstMatrixMap(rows.data(), train.size(), width_ + 1), train.labels, num_classes_);
  Vector w = Vector::Zero(loss.parameters());
  iterations_ = minimize(loss, w);
  for (const double weight : w) weights_.push_back(static_cast<float>(weight));
}

/// [examples, width + 1]: a column of ones is the bias's.
std::vector<float> LinearProbe::standardized(const ProbeExamples& examples) const {
  LRA_CHECK(examples.width == width_, "features of another width");
  std::vector<float> rows;
  rows.reserve(static_cast<size_t>(examples.size() * (width_ + 1)));
  auto feature = examples.features.begin();
  for (int64_t i = 0; i < examples.size(); ++i) {
    for (size_t k = 0; k < mean_.size(); ++k, ++feature) rows.push_back((*feature - mean_[k]) * inverse_stddev_[k]);
    rows.push_back(1);
  }
  return rows;
}

double LinearProbe::accuracy(const ProbeExamples& examples) const {
  if (examples.size() == 0) return 0;
  const std::vector<float> rows = standardized(examples);
  const ConstMatrixMap features(rows.data(), examples.size(), width_ + 1);
  const Matrix logits = features * ConstMatrixMap(weights_.data(), width_ + 1, num_classes_);
  int64_t correct = 0;
  for (int64_t i = 0; i < examples.size(); ++i) {
    Eigen::Index best = 0;
    logits.row(i).maxCoeff(&best);
    correct += best == examples.labels[static_cast<size_t>(i)] ? 1 : 0;
  }
  return static_cast<double>(correct) / static_cast<double>(examples.size());
}

ShortcutBaseline probe_baseline(const Dataset& dataset, std::string name, int64_t width, const FeaturesFn& features,
                                std::string explanation) {
  const ProbeExamples train = probe_examples(dataset.train(), width, features);
  const LinearProbe probe(train, dataset.num_classes());
  const ProbeExamples test = probe_examples(dataset.test(), width, features);
  explanation += fmt::format(" (fitted on {} examples, scored on {})", train.size(), test.size());
  return {std::move(name), probe.accuracy(test), std::move(explanation)};
}

ShortcutBaseline token_histogram_baseline(const Dataset& dataset, std::string name) {
  const int64_t bins = std::min<int64_t>(dataset.vocab_size(), kMaxHistogramWidth);
  const int inputs = dataset.manifest().inputs_per_example;
  const auto features = [bins, inputs](const Split& split, int64_t example, std::span<float> out) {
    for (int input = 0; input < inputs; ++input) {
      const std::span<float> histogram = out.subspan(static_cast<size_t>(input * bins), static_cast<size_t>(bins));
      const auto count = [&](auto tokens) {
        for (const auto token : tokens) histogram[std::min<size_t>(token, histogram.size() - 1)] += 1;
      };
      if (split.token_type() == TokenType::kUint8) {
        count(split.tokens(example, input));
      } else {
        count(split.tokens16(example, input));
      }
    }
    for (float& value : out) value = std::log1p(value);
  };
  return probe_baseline(dataset, std::move(name), bins * inputs, features,
                        "logistic regression on how often each token occurs");
}

}  // namespace lra::tasks
