// Reads JPEG images in memory, trusting nothing in them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace lra::tasks {

struct JpegImage {
  int height = 0;
  int width = 0;
  std::vector<uint8_t> pixels;  // [height, width, 3]: red, green, blue
};

/// Whether `bytes` begin as JPEG files do.
bool is_jpeg(std::span<const std::byte> bytes);

/// Reads baseline and progressive images, gray or in colours (not CMYK). `name` is the file, for messages.
/// Throws: DataError when the bytes are no such image, damaged or end early, or when a side is longer than `max_side`,
/// which is looked at before anything of that size is allocated.
JpegImage decode_jpeg(std::span<const std::byte> bytes, const std::string& name, int max_side);

}  // namespace lra::tasks
