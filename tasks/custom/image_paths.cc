#include "tasks/custom/image_paths.h"

#include <algorithm>
#include <cctype>
#include <string>

namespace lra::tasks::custom {
namespace {

bool is_image_name(std::string_view name) {
  std::string lower(name);
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return std::tolower(c); });
  return lower.ends_with(".png") || lower.ends_with(".jpg") || lower.ends_with(".jpeg");
}

std::optional<SplitName> split_of(std::string_view folder) {
  if (folder == "train") return SplitName::kTrain;
  if (folder == "validation" || folder == "val") return SplitName::kValidation;
  if (folder == "test") return SplitName::kTest;
  return std::nullopt;
}

/// Where the last component of `path` begins.
size_t last_begin(std::string_view path) { return path.rfind('/') + 1; }  // npos + 1 = 0

}  // namespace

std::optional<ImagePath> parse_image_path(std::string_view path) {
  const size_t name = last_begin(path);
  if (name < 2 || !is_image_name(path.substr(name)) || path[name] == '.') return std::nullopt;
  const std::string_view folders = path.substr(0, name - 1);
  const size_t label = last_begin(folders);
  if (label == folders.size()) return std::nullopt;
  ImagePath parsed{.root_bytes = label, .split = std::nullopt, .label = folders.substr(label)};
  if (label >= 2) {
    const std::string_view above = folders.substr(0, label - 1);
    const size_t split = last_begin(above);
    parsed.split = split_of(above.substr(split));
    if (parsed.split) parsed.root_bytes = split;
  }
  return parsed;
}

TreePattern image_pattern() {
  return {.what = "labelled images, <split>/<label>/*.png or <label>/*.png (or .jpg)",
          .root_bytes = [](std::string_view path) -> std::optional<size_t> {
            const std::optional<ImagePath> parsed = parse_image_path(path);
            return parsed ? std::optional(parsed->root_bytes) : std::nullopt;
          }};
}

}  // namespace lra::tasks::custom
