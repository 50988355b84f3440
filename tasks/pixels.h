// What tasks share whose tokens are the pixels of gray images.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "tasks/split.h"
#include "tasks/task.h"

namespace lra::tasks {

/// 256 symbols, "0" to "255". Id 0 is black, and the padding at the same time.
std::vector<std::string> pixel_vocabulary();

/// Writes the images of a split as `directory/<folder of the label>/<example>.png`, 8-bit gray. The directory appears
/// complete, or not at all. Throws: UsageError when it is there already and not empty; ResourceError.
void export_gray_images(const Split& split, int height, int width, const std::vector<std::string>& folders,
                        const std::filesystem::path& directory, const ProgressFn& progress);

}  // namespace lra::tasks
