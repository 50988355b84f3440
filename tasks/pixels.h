// What tasks share whose tokens are the pixels of gray images.
#pragma once

#include <string>
#include <vector>

namespace lra::tasks {

/// 256 symbols, "0" to "255". Id 0 is black, and the padding at the same time.
std::vector<std::string> pixel_vocabulary();

}  // namespace lra::tasks
