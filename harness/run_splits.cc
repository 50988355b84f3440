#include "harness/run_splits.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "engine/errors.h"
#include "engine/io/sha256.h"
#include "engine/random.h"
#include "tasks/registry.h"

namespace lra::harness {
namespace {

constexpr int64_t kShare = 10;  // one example of so many is held out

/// Every example of `size`, shuffled by nothing but their number.
std::vector<int64_t> shuffled(int64_t size) {
  std::vector<int64_t> order(static_cast<size_t>(size));
  std::iota(order.begin(), order.end(), int64_t{0});
  engine::Stream stream(0, engine::Purpose::split, "holdout");
  for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[stream.below(i)]);
  return order;
}

/// The first or last part of `order`, in ascending order.
Subset part(const tasks::Split& split, const std::vector<int64_t>& order, size_t begin, size_t end) {
  std::vector<int64_t> examples(order.begin() + static_cast<std::ptrdiff_t>(begin),
                                order.begin() + static_cast<std::ptrdiff_t>(end));
  std::sort(examples.begin(), examples.end());
  return {split, std::move(examples)};
}

tasks::ValidationSource literature(const tasks::Dataset& dataset) {
  const tasks::Task* task = tasks::find_task(dataset.manifest().task);
  return task == nullptr ? tasks::ValidationSource::test : task->facts().paper_validation;
}

RunSplits with_hash(RunSplits splits) {
  io::Sha256 hash;
  for (const tasks::SplitName name : tasks::kSplitNames) {
    const Subset& selection = splits[name];
    hash.update(fmt::format("{}: {}", tasks::split_text(name), tasks::split_text(selection.split().name())));
    for (int64_t i = 0; i < selection.size(); ++i) hash.update(fmt::format(" {}", selection[i]));
    hash.update("\n");
  }
  splits.sha256 = hash.hex_digest();
  return splits;
}

}  // namespace

const Subset& RunSplits::operator[](tasks::SplitName name) const {
  return name == tasks::SplitName::kTrain ? train : name == tasks::SplitName::kValidation ? validation : test;
}

RunSplits run_splits(const tasks::Dataset& dataset, SplitPolicy policy) {
  const tasks::Split& train = dataset.train();
  const Subset test(dataset.test());
  if (dataset.validation().size() > 0) return with_hash({Subset(train), Subset(dataset.validation()), test, {}});
  const bool tail = literature(dataset) == tasks::ValidationSource::train_tail;
  if (policy == SplitPolicy::kPaper && !tail) return with_hash({Subset(train), test, test, {}});
  std::vector<int64_t> order(static_cast<size_t>(train.size()));
  std::iota(order.begin(), order.end(), int64_t{0});
  if (policy == SplitPolicy::kHoldout) order = shuffled(train.size());
  const size_t kept = order.size() - order.size() / kShare;
  if (kept == order.size() && !order.empty()) {
    throw UsageError(fmt::format("[task.split_policy] {} train examples in {} are too few to hold a tenth out",
                                 order.size(), dataset.directory().string()),
                     "give the data validation examples of their own, or use more of them");
  }
  return with_hash({part(train, order, 0, kept), part(train, order, kept, order.size()), test, {}});
}

}  // namespace lra::harness
