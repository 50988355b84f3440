// What predictors score that look at an image without following a contour.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "tasks/dataset.h"
#include "tasks/pathfinder/drawing.h"

namespace lra::tasks::pathfinder {

/// The centres of the two brightest spots as wide as a marker of `radius` pixels, at least a marker apart. `pixels` is
/// [size, size]; on a tie the upper, then the left one.
std::pair<Point, Point> find_markers(std::span<const uint8_t> pixels, int size, double radius);

/// The majority, a linear probe on the histogram of the pixels, and the distance between the markers with a threshold
/// fitted on train. The last looks at `kSampleExamples` of each split, evenly spread, so that it takes seconds whatever
/// the dataset's size.
std::vector<ShortcutBaseline> baselines_of(const Dataset& dataset, int size, double marker_radius);

inline constexpr int64_t kSampleExamples = 5000;

}  // namespace lra::tasks::pathfinder
