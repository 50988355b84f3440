// PNG images.
#include "tasks/png.h"

#include "tests/fuzz/fuzzing.h"

using namespace lra;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr int kMaxSide = 256;
  const auto bytes = std::as_bytes(std::span(data, size));
  for (const auto color : {tasks::PngColor::kGray, tasks::PngColor::kRgb}) {
    fuzzing::accepts_or_refuses([&] {
      const tasks::PngImage image = tasks::decode_png(bytes, color, "input", kMaxSide);
      const size_t channels = color == tasks::PngColor::kGray ? 1 : 3;
      fuzzing::require(image.height > 0 && image.width > 0 && image.height <= kMaxSide && image.width <= kMaxSide,
                       "a side outside the limits");
      fuzzing::require(image.pixels.size() == channels * static_cast<size_t>(image.height * image.width),
                       "another number of pixels than the sides say");
      if (channels != 1) return;
      const auto again = tasks::encode_gray_png(image.pixels, image.height, image.width);
      fuzzing::require(tasks::decode_png(again, color, "again", kMaxSide).pixels == image.pixels,
                       "an image that is not read back");
    });
  }
  return 0;
}
