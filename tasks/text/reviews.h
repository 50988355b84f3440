// The layout of the IMDb reviews: aclImdb/{train,test}/{neg,pos}/<id>_<rating>.txt.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "tasks/source.h"
#include "tasks/split.h"

namespace lra::tasks::text {

inline constexpr int kNegative = 0;
inline constexpr int kPositive = 1;

/// What the path of a review says of it.
struct Review {
  SplitName split = SplitName::kTrain;
  int label = kNegative;
  uint64_t id = 0;
  uint64_t rating = 0;
};

/// `path` ends in `{train,test}/{neg,pos}/<id>_<rating>.txt`; nothing for other files (unlabelled reviews among them).
struct ReviewPath {
  size_t root_bytes = 0;  // of the path before the split
  Review review;
};
std::optional<ReviewPath> parse_path(std::string_view path);

/// Trees of reviews, wherever they lie.
TreePattern review_pattern();

/// The files of the tree in the order of examples: by split, then label, then id, then rating, then name.
std::vector<size_t> example_order(const SourceTree& tree);

}  // namespace lra::tasks::text
