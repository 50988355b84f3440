// PNG images in memory: writes 8-bit gray ones; reads every kind, trusting nothing in it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace lra::tasks {

/// What a PNG is turned into: one byte a pixel, or three (red, green, blue).
enum class PngColor { kGray, kRgb };

struct PngImage {
  int height = 0;
  int width = 0;
  std::vector<uint8_t> pixels;  // [height, width] or [height, width, 3]
};

/// `pixels` [height, width] as an 8-bit gray PNG. The same pixels give the same bytes with the same libpng and zlib.
std::vector<std::byte> encode_gray_png(std::span<const uint8_t> pixels, int height, int width);

/// Reads gray, colour and palette images of any bit depth, interlaced or not. Transparency and gamma are ignored, 16
/// bits become the nearest 8, and colours become gray as Grayscale::kPil has it. `name`
/// is the file, for messages. Throws: DataError when the bytes are no PNG, damaged or end early, or when a side is
/// longer than `max_side`, which is looked at before anything of that size is allocated.
PngImage decode_png(std::span<const std::byte> bytes, PngColor color, const std::string& name, int max_side);

}  // namespace lra::tasks
