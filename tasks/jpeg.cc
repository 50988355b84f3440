#include "tasks/jpeg.h"

#include <fmt/format.h>

#include <array>
#include <csetjmp>
#include <cstdio>

// After <cstdio>, which it needs.
#include <jpeglib.h>

#include "engine/errors.h"
#include "tasks/byte_stream.h"

namespace lra::tasks {
namespace {

/// More scans than any encoder writes would only cost time.
constexpr int kMaxScans = 200;

/// libjpeg's state, with what its callbacks need. It reports errors by jumping back: between the jump and its target no
/// object with a destructor may be made.
struct Decoder {
  jpeg_decompress_struct info{};
  jpeg_error_mgr errors{};
  jpeg_progress_mgr progress{};
  std::jmp_buf failed;
  std::array<char, JMSG_LENGTH_MAX> message{};

  Decoder() {
    info.err = ::jpeg_std_error(&errors);
    info.client_data = this;
    errors.error_exit = [](j_common_ptr common) { of(common).fail(common); };
    // A warning is damage: bytes that are missing, or that mean nothing.
    errors.emit_message = [](j_common_ptr common, int level) {
      if (level < 0) of(common).fail(common);
    };
    progress.progress_monitor = [](j_common_ptr common) {
      Decoder& self = of(common);
      if (self.info.input_scan_number > kMaxScans) self.fail(common);
    };
  }
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;
  ~Decoder() { ::jpeg_destroy_decompress(&info); }

 private:
  static Decoder& of(j_common_ptr common) { return *static_cast<Decoder*>(common->client_data); }

  [[noreturn]] void fail(j_common_ptr common) {
    errors.format_message(common, message.data());
    std::longjmp(failed, 1);
  }
};

/// False when libjpeg found fault with the header.
bool read_header(Decoder& decoder, std::span<const std::byte> bytes) {
  if (setjmp(decoder.failed) != 0) return false;
  ::jpeg_create_decompress(&decoder.info);
  decoder.info.progress = &decoder.progress;
  ::jpeg_mem_src(&decoder.info, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  ::jpeg_read_header(&decoder.info, TRUE);
  return true;
}

/// False when libjpeg found fault with the data. `pixels` has room for the image.
bool read_pixels(Decoder& decoder, uint8_t* pixels) {
  if (setjmp(decoder.failed) != 0) return false;
  decoder.info.out_color_space = JCS_RGB;
  decoder.info.dct_method = JDCT_ISLOW;  // whole numbers: the same pixels everywhere
  ::jpeg_start_decompress(&decoder.info);
  const size_t row_bytes = size_t{3} * decoder.info.output_width;
  while (decoder.info.output_scanline < decoder.info.output_height) {
    JSAMPROW row = pixels + decoder.info.output_scanline * row_bytes;
    ::jpeg_read_scanlines(&decoder.info, &row, 1);
  }
  ::jpeg_finish_decompress(&decoder.info);
  return true;
}

[[noreturn]] void refuse(const std::string& name, const std::string& what) {
  throw DataError(fmt::format("`{}`: {}", name, what), "mend the image, or take it out of --from");
}

}  // namespace

bool is_jpeg(std::span<const std::byte> bytes) {
  return bytes.size() >= 3 && bytes[0] == std::byte{0xff} && bytes[1] == std::byte{0xd8} && bytes[2] == std::byte{0xff};
}

JpegImage decode_jpeg(std::span<const std::byte> bytes, const std::string& name, int max_side) {
  if (bytes.empty()) refuse(name, "the file is empty");
  Decoder decoder;
  if (!read_header(decoder, bytes))
    refuse(name, fmt::format("not a JPEG image: {}", printable(decoder.message.data())));
  const auto limit = static_cast<JDIMENSION>(max_side);
  if (decoder.info.image_width > limit || decoder.info.image_height > limit) {
    refuse(name, fmt::format("the image has {} x {} pixels; a side may have {}", decoder.info.image_width,
                             decoder.info.image_height, max_side));
  }
  const J_COLOR_SPACE colors = decoder.info.jpeg_color_space;
  if (colors != JCS_GRAYSCALE && colors != JCS_RGB && colors != JCS_YCbCr) {
    refuse(name, "its colours are neither gray nor red, green and blue");
  }
  JpegImage image{.height = static_cast<int>(decoder.info.image_height),
                  .width = static_cast<int>(decoder.info.image_width)};
  image.pixels.resize(size_t{3} * decoder.info.image_height * decoder.info.image_width);
  if (!read_pixels(decoder, image.pixels.data())) {
    refuse(name, fmt::format("the image is damaged: {}", printable(decoder.message.data())));
  }
  return image;
}

}  // namespace lra::tasks
