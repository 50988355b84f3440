#include "tasks/majority.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/errors.h"

namespace lra::tasks {
namespace {

std::vector<int64_t> label_counts(const Split& split, int num_classes) {
  std::vector<int64_t> counts(static_cast<size_t>(num_classes), 0);
  for (int64_t i = 0; i < split.size(); ++i) ++counts[static_cast<size_t>(split.label(i))];
  return counts;
}

}  // namespace

ShortcutBaseline majority_baseline(const Dataset& dataset) {
  LRA_CHECK(dataset.train().size() > 0 && dataset.test().size() > 0, "a split without examples");
  const std::vector<int64_t> train = label_counts(dataset.train(), dataset.num_classes());
  const auto most_frequent = std::max_element(train.begin(), train.end()) - train.begin();
  const int64_t correct = label_counts(dataset.test(), dataset.num_classes())[static_cast<size_t>(most_frequent)];
  return {"majority", static_cast<double>(correct) / static_cast<double>(dataset.test().size()),
          fmt::format("always answers {}, the most frequent label of the train split", most_frequent)};
}

}  // namespace lra::tasks
