// The layouts of users' own images: <split>/<label>/<name> or <label>/<name>, in PNG or JPEG.
#pragma once

#include <optional>
#include <string_view>

#include "tasks/source.h"
#include "tasks/split.h"

namespace lra::tasks::custom {

struct ImagePath {
  size_t root_bytes = 0;           // of the path before the split, or before the label
  std::optional<SplitName> split;  // of a folder `train`, `validation` (`valid`, `val`) or `test` above the label's
  std::string_view label;          // the folder of the image
};

/// Nothing for paths without a folder, for hidden files and folders (`.ipynb_checkpoints/`), and for other names than
/// *.png, *.jpg and *.jpeg in any case.
std::optional<ImagePath> parse_image_path(std::string_view path);

/// The split that a folder names, in any case; nothing for other names.
std::optional<SplitName> split_of_folder(std::string_view folder);

/// Trees of images, wherever they lie.
TreePattern image_pattern();

}  // namespace lra::tasks::custom
