// Reads the official layout: pathfinder<size>/<difficulty>/imgs/<batch>/sample_<i>.png and metadata/<batch>.npy.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "tasks/import_stage.h"
#include "tasks/pathfinder/parameters.h"
#include "tasks/source.h"

namespace lra::tasks::pathfinder {

/// The folder of a difficulty: "curv_contour_length_14".
const char* official_folder(Difficulty difficulty);

/// Images and metadata of one set, wherever it is nested, or a set by itself.
TreePattern official_pattern(int size, Difficulty difficulty);

/// What a set has besides its images. Paths are below the root of the set, sorted.
struct OfficialSet {
  int64_t images = 0;                              // that are not empty
  std::vector<std::string> empty_images;           // listed files without a byte
  std::vector<std::string> unlisted_images;        // PNG files that no metadata list
  std::map<std::string, std::string> file_sha256;  // of the metadata
};

/// Reads the tree that `stage` has found: the pixels of every listed image are in its spool afterwards, as those of the
/// train split, in the order of batches (by number) and lines.
/// Throws: DataError for metadata that are missing or malformed; for an image that is listed twice, or listed and
/// missing, naming the line that lists it; for a listed image that is damaged or not `size` pixels a side; for a set
/// without the folders that name it whose metadata are those of another difficulty. ResourceError.
OfficialSet read_official_set(ImportStage& stage, int size, Difficulty difficulty);

}  // namespace lra::tasks::pathfinder
