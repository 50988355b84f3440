// What the learner reads: numbered examples of one sequence or two and a label, from a data set or made up for a
// measurement.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include "harness/run_splits.h"
#include "harness/task_shape.h"
#include "tasks/dataset.h"

namespace lra::harness {

class Examples {
 public:
  virtual ~Examples() = default;
  /// Sequences that are classified together: 1, or 2 (Retrieval).
  virtual int inputs() const { return 1; }
  virtual int64_t size() const = 0;
  /// Real tokens of one sequence of an example, after truncation to the model's length and without those that are left
  /// out because the model masks them.
  virtual int64_t length(int64_t example, int input) const = 0;
  virtual int32_t label(int64_t example) const = 0;
  /// Writes the real tokens of one sequence, then padding (0) to the end of `tokens`.
  virtual void copy_tokens(int64_t example, int input, std::span<int32_t> tokens) const = 0;
  /// Writes where those stand in the whole sequence, from 0; `positions` has their number.
  virtual void copy_positions(int64_t example, int input, std::span<int32_t> positions) const {
    static_cast<void>(example), static_cast<void>(input);
    std::iota(positions.begin(), positions.end(), 0);
  }

  /// Real tokens of all sequences of an example.
  int64_t tokens(int64_t example) const {
    int64_t sum = 0;
    for (int input = 0; input < inputs(); ++input) sum += length(example, input);
    return sum;
  }
  /// Real tokens of its longest one.
  int64_t longest(int64_t example) const {
    int64_t most = 0;
    for (int input = 0; input < inputs(); ++input) most = std::max(most, length(example, input));
    return most;
  }
};

/// What a model reads of sequences whose zero tokens it masks: calls `keep(place, token)` for each token but 0, and for
/// the first whatever it is (no sequence becomes empty, and a CLS row is as real as the first token).
template <class Token, class Keep>
void for_kept_tokens(std::span<const Token> tokens, Keep&& keep) {
  for (size_t place = 0; place < tokens.size(); ++place)
    if (place == 0 || tokens[place] != 0) keep(place, tokens[place]);
}

/// How many those are.
template <class Token>
int64_t count_kept_tokens(std::span<const Token> tokens) {
  if (tokens.empty()) return 0;
  return static_cast<int64_t>(tokens.size()) - std::count(tokens.begin() + 1, tokens.end(), Token{0});
}

/// Examples of a data set, cut to `max_length` tokens; of those, where `drops_zeros`, only the ones that are kept.
class SplitExamples final : public Examples {
 public:
  SplitExamples(Subset examples, int64_t max_length, bool drops_zeros = false);
  SplitExamples(const tasks::Split& split, int64_t max_length) : SplitExamples(Subset(split), max_length) {}
  /// As the model of a completed configuration reads them.
  SplitExamples(Subset examples, const TrainConfig& config)
      : SplitExamples(std::move(examples), config.sequence_length, config.drops_masked_rows()) {}
  int inputs() const override { return split().inputs_per_example(); }
  int64_t size() const override { return examples_.size(); }
  int64_t length(int64_t example, int input) const override;
  int32_t label(int64_t example) const override { return split().label(examples_[example]); }
  void copy_tokens(int64_t example, int input, std::span<int32_t> tokens) const override;
  void copy_positions(int64_t example, int input, std::span<int32_t> positions) const override;

 private:
  const tasks::Split& split() const { return examples_.split(); }
  /// `use` gets the tokens where they lie, cut to the length.
  template <class Use>
  auto with_tokens(int64_t example, int input, Use&& use) const;

  Subset examples_;
  int64_t max_length_;
  std::vector<int32_t> kept_lengths_;  // [examples, inputs] where zeros are dropped
};

/// Refuses token ids outside the vocabulary: they would be read from beyond the embedding table. Throws DataError.
void require_known_tokens(const tasks::Dataset& dataset, tasks::SplitName name);

/// Full-length sequences of uniform tokens, for measuring speed.
class RandomExamples final : public Examples {
 public:
  RandomExamples(int64_t count, int64_t length, const TaskShape& task, uint64_t seed);
  int inputs() const override { return inputs_; }
  int64_t size() const override { return static_cast<int64_t>(labels_.size()); }
  int64_t length(int64_t, int) const override { return length_; }
  int32_t label(int64_t example) const override { return labels_[static_cast<size_t>(example)]; }
  void copy_tokens(int64_t example, int input, std::span<int32_t> tokens) const override;

 private:
  int inputs_;
  int64_t length_;
  std::vector<int32_t> tokens_;  // [count, inputs, length]
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
