// Reads the official layout: pathfinder<size>/<difficulty>/imgs/<batch>/sample_<i>.png and metadata/<batch>.npy.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "tasks/pathfinder/parameters.h"
#include "tasks/source.h"

namespace lra::tasks::pathfinder {

/// The folder of a difficulty: "curv_contour_length_14".
const char* official_folder(Difficulty difficulty);

/// Images and metadata of one set, wherever it is nested, or a set by itself.
TreePattern official_pattern(int size, Difficulty difficulty);

/// What the metadata list, in the order of batches (by number) and lines.
struct OfficialImages {
  std::vector<std::string> paths;  // below the root of the set
  std::vector<uint8_t> labels;
  std::map<std::string, std::string> file_sha256;  // of the metadata
};

/// Reads the metadata of `tree`. Throws: DataError for metadata that are missing or malformed, and for an image that is
/// listed twice, or listed and missing, naming the line that lists it.
OfficialImages read_metadata(const Source& source, const SourceTree& tree);

/// Called with the number of an image in OfficialImages and its pixels, row by row; none for an empty file.
using PixelsFn = std::function<void(size_t image, std::span<const uint8_t> pixels)>;

/// Visits each image once, in the order of the source. Throws: DataError for an image that is damaged or not `size`
/// pixels a side.
void read_images(const Source& source, const SourceTree& tree, const OfficialImages& images, int size,
                 const PixelsFn& visit);

}  // namespace lra::tasks::pathfinder
