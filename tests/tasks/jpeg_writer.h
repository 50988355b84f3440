// JPEG images for tests.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

// After <cstdio>, which it needs.
#include <jpeglib.h>

namespace lra::testing {

/// `channels` 1 is gray, 3 red, green and blue; `pixels` [height, width, channels].
inline std::string encode_jpeg(const std::vector<uint8_t>& pixels, int height, int width, int channels,
                               bool progressive = false) {
  jpeg_compress_struct info{};
  jpeg_error_mgr errors{};
  info.err = ::jpeg_std_error(&errors);
  ::jpeg_create_compress(&info);
  unsigned char* bytes = nullptr;
  unsigned long size = 0;  // NOLINT(google-runtime-int): libjpeg's type
  ::jpeg_mem_dest(&info, &bytes, &size);
  info.image_width = static_cast<JDIMENSION>(width);
  info.image_height = static_cast<JDIMENSION>(height);
  info.input_components = channels;
  info.in_color_space = channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
  ::jpeg_set_defaults(&info);
  ::jpeg_set_quality(&info, 100, TRUE);
  if (progressive) ::jpeg_simple_progression(&info);
  ::jpeg_start_compress(&info, TRUE);
  std::vector<uint8_t> row(static_cast<size_t>(width * channels));
  for (int y = 0; y < height; ++y) {
    std::copy_n(pixels.begin() + static_cast<std::ptrdiff_t>(y) * width * channels, row.size(), row.begin());
    JSAMPROW pointer = row.data();
    ::jpeg_write_scanlines(&info, &pointer, 1);
  }
  ::jpeg_finish_compress(&info);
  std::string encoded(reinterpret_cast<const char*>(bytes), size);
  ::jpeg_destroy_compress(&info);
  std::free(bytes);  // NOLINT(cppcoreguidelines-no-malloc): jpeg_mem_dest allocates so
  return encoded;
}

}  // namespace lra::testing
