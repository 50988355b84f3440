#include "tasks/pixels.h"

#include <fmt/format.h>

#include <cstdint>

#include "tasks/new_directory.h"
#include "tasks/png.h"

namespace lra::tasks {
namespace fs = std::filesystem;

std::vector<std::string> pixel_vocabulary() {
  std::vector<std::string> symbols;
  for (int value = 0; value <= UINT8_MAX; ++value) symbols.push_back(std::to_string(value));
  return symbols;
}

void export_gray_images(const Split& split, int height, int width, const std::vector<std::string>& folders,
                        const fs::path& directory, const ProgressFn& progress) {
  NewDirectory images(directory);
  for (int64_t i = 0; i < split.size(); ++i) {
    const std::string& folder = folders.at(static_cast<size_t>(split.label(i)));
    images.write(fmt::format("{}/{:06}.png", folder, i), encode_gray_png(split.tokens(i), height, width));
    if (progress) progress(static_cast<uint64_t>(i) + 1, static_cast<uint64_t>(split.size()));
  }
  images.publish();
}

}  // namespace lra::tasks
