// The rows that tell the images of a batch and their labels: `metadata/<batch>.npy` of the official layout.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "tasks/pathfinder/parameters.h"

namespace lra::tasks::pathfinder {

/// What is read of the eleven columns.
struct ImageRow {
  std::string path;  // relative: "imgs/0/sample_17.png"
  int label = 0;
  size_t line = 0;                             // counted from 1, for messages
  std::optional<int64_t> contour_length = {};  // nothing where the column is missing or no number
};

/// Calls `row` for each row of a file of either kind: text despite its name, one line an image with columns separated
/// by blanks, as the published archive has it; or an array of NumPy strings, as the original program writes it.
/// Throws: DataError naming `name`, line (row) and column of what is malformed: fewer than four columns, a label that
/// is neither 0 nor 1, a path that is absolute or leads upwards.
void parse_metadata(std::span<const std::byte> bytes, const std::string& name,
                    const std::function<void(const ImageRow& row)>& row);

/// One line of text, with its line feed: "imgs/0 sample_17.png 17 1 1.0 14 4 2 0.5 1 1". `margin` is the image's own, 0
/// if not known.
std::string metadata_line(const GeneratorParameters& parameters, int64_t batch, int64_t number, int label, int margin);

}  // namespace lra::tasks::pathfinder
