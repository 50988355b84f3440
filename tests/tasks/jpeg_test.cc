#include "tasks/jpeg.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "engine/errors.h"
#include "tests/tasks/jpeg_writer.h"
#include "tests/temporary_directory.h"

namespace lra::tasks {
namespace {

using testing::encode_jpeg;
using ::testing::HasSubstr;
using testing::thrown_by;

JpegImage decode(const std::string& file, int max_side = 100) {
  return decode_jpeg(std::as_bytes(std::span(file.data(), file.size())), "x.jpg", max_side);
}

std::string error_of(const std::string& file, int max_side = 100) {
  const auto error = thrown_by<DataError>([&] { decode(file, max_side); });
  EXPECT_THAT(error.what(), HasSubstr("`x.jpg`"));
  EXPECT_FALSE(error.hint().empty());
  return error.what();
}

/// A slope in three colours [height, width, 3].
std::vector<uint8_t> slope(int height, int width) {
  std::vector<uint8_t> pixels;
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      for (const int value : {4 * x, 4 * y, 100}) pixels.push_back(static_cast<uint8_t>(value));
    }
  }
  return pixels;
}

TEST(JpegTest, ColoursComeBackNearlyAsTheyWere) {
  for (const bool progressive : {false, true}) {
    const JpegImage image = decode(encode_jpeg(slope(20, 33), 20, 33, 3, progressive));
    EXPECT_EQ(image.height, 20);
    EXPECT_EQ(image.width, 33);
    const std::vector<uint8_t> expected = slope(20, 33);
    ASSERT_EQ(image.pixels.size(), expected.size());
    constexpr int kLoss = 12;  // colours are stored at half the resolution
    for (size_t i = 0; i < expected.size(); ++i) ASSERT_NEAR(image.pixels[i], expected[i], kLoss) << i;
  }
}

TEST(JpegTest, GrayBecomesThreeEqualColours) {
  const std::vector<uint8_t> gray(64, 77);
  const JpegImage image = decode(encode_jpeg(gray, 8, 8, 1));
  EXPECT_EQ(image.pixels, std::vector<uint8_t>(192, 77));
}

TEST(JpegTest, TruncationsAreRefused) {
  const std::string whole = encode_jpeg(slope(40, 40), 40, 40, 3);
  for (size_t kept = 0; kept + 2 < whole.size(); kept += 37) error_of(whole.substr(0, kept));
  EXPECT_THAT(error_of(""), HasSubstr("the file is empty"));
  EXPECT_THAT(error_of("GIF89a"), HasSubstr("not a JPEG image"));
}

TEST(JpegTest, ClaimedSizesAreLookedAtBeforeTheyAreAllocated) {
  std::string file = encode_jpeg(slope(8, 8), 8, 8, 3);
  const size_t frame = file.find("\xff\xc0");
  ASSERT_NE(frame, std::string::npos);
  constexpr size_t kHeightOffset = 5;  // marker, length, precision
  for (size_t i = 0; i < 4; ++i) file[frame + kHeightOffset + i] = '\x7f';
  EXPECT_THAT(error_of(file, 4096), HasSubstr("the image has 32639 x 32639 pixels"));
  EXPECT_THAT(error_of(encode_jpeg(slope(8, 20), 8, 20, 3), 10), HasSubstr("the image has 20 x 8 pixels"));
}

}  // namespace
}  // namespace lra::tasks
