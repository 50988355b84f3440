// JPEG images.
#include "tasks/jpeg.h"
#include "tests/fuzz/fuzzing.h"

using namespace lra;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr int kMaxSide = 256;
  fuzzing::accepts_or_refuses([&] {
    const tasks::JpegImage image = tasks::decode_jpeg(std::as_bytes(std::span(data, size)), "input", kMaxSide);
    fuzzing::require(image.height >= 1 && image.height <= kMaxSide && image.width >= 1 && image.width <= kMaxSide,
                     "a size outside the limits");
    fuzzing::require(image.pixels.size() == size_t{3} * image.height * image.width, "pixels of another size");
  });
  return 0;
}
