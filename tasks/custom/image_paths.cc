#include "tasks/custom/image_paths.h"

#include <algorithm>
#include <cctype>
#include <initializer_list>
#include <string>

namespace lra::tasks::custom {
namespace {

std::string lower(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return std::tolower(c); });
  return lower;
}

bool ends_with_one_of(std::string_view name, std::initializer_list<std::string_view> endings) {
  const std::string small = lower(name);
  return std::any_of(endings.begin(), endings.end(), [&](std::string_view ending) { return small.ends_with(ending); });
}

bool is_image_name(std::string_view name) { return ends_with_one_of(name, {".png", ".jpg", ".jpeg"}); }

bool is_other_image_name(std::string_view name) {
  return ends_with_one_of(name, {".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif", ".heic", ".jxl", ".jp2", ".ppm",
                                 ".pgm", ".pnm", ".tga", ".svg"});
}

/// Where the last component of `path` begins.
size_t last_begin(std::string_view path) { return path.rfind('/') + 1; }  // npos + 1 = 0

}  // namespace

std::optional<SplitName> split_of_folder(std::string_view folder) {
  const std::string name = lower(folder);
  if (name == "train") return SplitName::kTrain;
  if (name == "validation" || name == "valid" || name == "val") return SplitName::kValidation;
  if (name == "test") return SplitName::kTest;
  return std::nullopt;
}

std::optional<ImagePath> parse_image_path(std::string_view path) {
  const size_t name = last_begin(path);
  if (path.starts_with('.') || path.find("/.") != std::string_view::npos) return std::nullopt;  // hidden
  if (name < 2 || !is_image_name(path.substr(name))) return std::nullopt;
  const std::string_view folders = path.substr(0, name - 1);
  const size_t label = last_begin(folders);
  if (label == folders.size()) return std::nullopt;
  ImagePath parsed{.root_bytes = label, .split = std::nullopt, .label = folders.substr(label)};
  if (label >= 2) {
    const std::string_view above = folders.substr(0, label - 1);
    const size_t split = last_begin(above);
    parsed.split = split_of_folder(above.substr(split));
    if (parsed.split) parsed.root_bytes = split;
  }
  return parsed;
}

TreePattern image_pattern() {
  return {.what = "labelled images, <split>/<label>/*.png or <label>/*.png (or .jpg)",
          .root_bytes = [](std::string_view path) -> std::optional<size_t> {
            const std::optional<ImagePath> parsed = parse_image_path(path);
            return parsed ? std::optional(parsed->root_bytes) : std::nullopt;
          },
          .is_unusable = [](std::string_view path) { return is_other_image_name(path); },
          .unusable = "images that are neither PNG nor JPEG"};
}

}  // namespace lra::tasks::custom
