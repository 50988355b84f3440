// What the learner reads: numbered examples of tokens and a label, from a data set or made up for a measurement.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "tasks/dataset.h"

namespace lra::harness {

class Examples {
 public:
  virtual ~Examples() = default;
  virtual int64_t size() const = 0;
  /// Real tokens of an example, after truncation to the model's length.
  virtual int64_t length(int64_t example) const = 0;
  virtual int32_t label(int64_t example) const = 0;
  /// Writes the real tokens, then padding (0) to the end of `tokens`.
  virtual void copy_tokens(int64_t example, std::span<int32_t> tokens) const = 0;
};

/// The examples of one split, cut to `max_length` tokens.
class SplitExamples final : public Examples {
 public:
  SplitExamples(const tasks::Split& split, int64_t max_length) : split_(split), max_length_(max_length) {}
  int64_t size() const override { return split_.size(); }
  int64_t length(int64_t example) const override { return std::min(split_.length(example), max_length_); }
  int32_t label(int64_t example) const override { return split_.label(example); }
  void copy_tokens(int64_t example, std::span<int32_t> tokens) const override {
    const std::span<int32_t> kept = tokens.first(std::min(tokens.size(), static_cast<size_t>(max_length_)));
    split_.copy_tokens(example, 0, kept);
    std::fill(tokens.begin() + static_cast<std::ptrdiff_t>(kept.size()), tokens.end(), 0);
  }

 private:
  const tasks::Split& split_;
  int64_t max_length_;
};

/// Refuses token ids outside the vocabulary: they would be read from beyond the embedding table. Throws DataError.
void require_known_tokens(const tasks::Dataset& dataset, tasks::SplitName name);

/// Full-length sequences of uniform tokens, for measuring speed.
class RandomExamples final : public Examples {
 public:
  RandomExamples(int64_t count, int64_t length, int64_t vocab_size, int64_t num_classes, uint64_t seed);
  int64_t size() const override { return static_cast<int64_t>(labels_.size()); }
  int64_t length(int64_t) const override { return length_; }
  int32_t label(int64_t example) const override { return labels_[static_cast<size_t>(example)]; }
  void copy_tokens(int64_t example, std::span<int32_t> tokens) const override;

 private:
  int64_t length_;
  std::vector<int32_t> tokens_;  // [count, length]
  std::vector<int32_t> labels_;
};

/// Which examples make the batches of a run: each epoch a permutation of the train split drawn from (seed, epoch).
/// A pure function of the step, so that a resumed run needs no more than its step number.
class BatchOrder {
 public:
  BatchOrder(int64_t examples, int64_t batch_size, uint64_t seed);
  /// Fills `batch` with the example numbers of step `step` (from 0). Draws a permutation when an epoch begins.
  void batch(int64_t step, std::span<int64_t> batch);
  /// The epoch in which a step begins; batches may cross into the next.
  int64_t epoch(int64_t step) const { return step * batch_size_ / examples_; }

 private:
  void draw(int64_t epoch);

  int64_t examples_, batch_size_;
  uint64_t seed_;
  int64_t drawn_epoch_ = -1;
  std::vector<int64_t> permutation_;
};

}  // namespace lra::harness
