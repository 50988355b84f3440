#include "tasks/class_names.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "engine/errors.h"
#include "tasks/byte_stream.h"

namespace lra::tasks {
namespace {

std::optional<int64_t> number_of(std::string_view name) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (error != std::errc() || end != name.data() + name.size()) return std::nullopt;
  return number;
}

}  // namespace

std::string ClassNames::add(std::string_view name) {
  if (labels_.find(name) != labels_.end()) return "";
  if (name.empty()) return "the label is empty";
  if (name.size() > kMaxNameBytes || printable(name) != name) {
    return fmt::format("the label `{}` is no name of up to {} bytes of UTF-8 without controls",
                       printable(name, kMaxNameBytes), kMaxNameBytes);
  }
  if (labels_.size() == kMaxClasses) {
    return fmt::format("`{}` would be one more than the {} labels that there can be", name, kMaxClasses);
  }
  labels_.emplace(name, 0);
  return "";
}

void ClassNames::finish() {
  for (const auto& [name, label] : labels_) names_.push_back(name);
  const bool are_numbers =
      std::all_of(names_.begin(), names_.end(), [](const std::string& name) { return number_of(name).has_value(); });
  if (are_numbers) {
    std::stable_sort(names_.begin(), names_.end(),
                     [](const auto& a, const auto& b) { return number_of(a) < number_of(b); });
  }
  for (size_t label = 0; label < names_.size(); ++label) labels_[names_[label]] = static_cast<int>(label);
}

int ClassNames::label_of(std::string_view name) const {
  const auto found = labels_.find(name);
  if (found == labels_.end()) {
    throw DataError(fmt::format("the label `{}` was not there when the data were read first", printable(name)),
                    "do not change the files while they are imported; start again");
  }
  return found->second;
}

}  // namespace lra::tasks
