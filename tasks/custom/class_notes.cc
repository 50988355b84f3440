#include "tasks/custom/class_notes.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace lra::tasks::custom {
namespace {

std::string listed(const std::vector<std::string>& names) {
  constexpr size_t kMostShown = 10;
  const auto end = names.begin() + static_cast<std::ptrdiff_t>(std::min(kMostShown, names.size()));
  return fmt::format("{}{}", fmt::join(names.begin(), end, ", "), names.size() > kMostShown ? ", …" : "");
}

}  // namespace

void tell_classes(const NoteFn& note, const std::vector<std::string>& names,
                  const std::vector<int64_t>& train_examples) {
  if (!note) return;
  note(fmt::format("{} classes: {}", names.size(), listed(names)));
  std::vector<std::string> unseen;
  for (size_t label = 0; label < names.size(); ++label) {
    if (train_examples[label] == 0) unseen.push_back(names[label]);
  }
  if (!unseen.empty())
    note(fmt::format("{} classes without an example to train on: {}", unseen.size(), listed(unseen)));
}

}  // namespace lra::tasks::custom
