// Which examples a run trains on, chooses by and is tested with.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "harness/config.h"
#include "tasks/dataset.h"

namespace lra::harness {

/// All examples of a split, or a list of them. The split outlives it.
class Subset {
 public:
  explicit Subset(const tasks::Split& split) : split_(&split) {}
  Subset(const tasks::Split& split, std::vector<int64_t> examples) : split_(&split), examples_(std::move(examples)) {}

  const tasks::Split& split() const { return *split_; }
  int64_t size() const { return examples_ ? static_cast<int64_t>(examples_->size()) : split_->size(); }
  /// The number in the split of example `i` of the selection.
  int64_t operator[](int64_t i) const { return examples_ ? (*examples_)[static_cast<size_t>(i)] : i; }

 private:
  const tasks::Split* split_;
  std::optional<std::vector<int64_t>> examples_;
};

struct RunSplits {
  Subset train, validation, test;
  std::string sha256;  // of which examples of which split they are, in order

  const Subset& operator[](tasks::SplitName name) const;
};

/// Validation examples are the data set's own where it has any. Otherwise `holdout` draws a tenth of the train split
/// (the same ones for every seed of a run) and trains on the others; `paper` does what the literature does: it
/// validates on the test split, or on the last tenth of train. `dataset` outlives the result.
RunSplits run_splits(const tasks::Dataset& dataset, SplitPolicy policy);

}  // namespace lra::harness
