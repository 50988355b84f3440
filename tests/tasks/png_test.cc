// The PNG codec: round trips, every kind of image, and files that are damaged or claim to be huge.
#include "tasks/png.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "engine/errors.h"
#include "tests/temporary_directory.h"

namespace lra::tasks {
namespace {

using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::byte> bytes_of(std::string_view hex) {
  std::vector<std::byte> bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes.push_back(static_cast<std::byte>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  }
  return bytes;
}

// 3 x 2 pixels; all but the interlaced one written by Pillow 9.4.
constexpr std::string_view kGray =
    "89504e470d0a1a0a0000000d4948445200000003000000020800000000b81f39c60000001049444154789c63643032629876e23f0006870"
    "2c3edb413ac0000000049454e44ae426082";
constexpr std::string_view kRgb =
    "89504e470d0a1a0a0000000d49484452000000030000000208020000001216f14d0000001c49444154789c6364f8cf60744ed2e89c24e3b44c"
    "6fa37392e627a501427806b24c1caa750000000049454e44ae426082";
constexpr std::string_view kRgba =
    "89504e470d0a1a0a0000000d49484452000000030000000208060000009d74661a0000002249444154789c6364f8cfc06e744e92c1e89c2403"
    "cbb42c6f06a373920ce627a519005a5906bd5f53b13c0000000049454e44ae426082";
constexpr std::string_view kPalette =
    "89504e470d0a1a0a0000000d49484452000000030000000204030000006f5a7b2900000012504c544500ff0032cd19649b3296694bc83764ff"
    "007f738de9480000000e49444154789c6360546030090000014300a6decd5f5d0000000049454e44ae426082";
constexpr std::string_view kOneBit =
    "89504e470d0a1a0a0000000d4948445200000003000000020100000000b50f5bb70000000c49444154789c63606078000000e400e1abced824"
    "0000000049454e44ae426082";
constexpr std::string_view kInterlaced =
    "89504e470d0a1a0a0000000d4948445200000003000000020800000001cf1809500000001249444154789c636060486130629876e23f000811"
    "02f476e919aa0000000049454e44ae426082";
constexpr std::string_view k16Bit =
    "89504e470d0a1a0a0000000d4948445200000003000000021000000000e88fe5850000001649444154789c63646030323232629836edc489ff"
    "ff01166f0584e7ce6b370000000049454e44ae426082";

constexpr int kMaxSide = 64;

PngImage decode(std::string_view hex, PngColor color) { return decode_png(bytes_of(hex), color, "a.png", kMaxSide); }

DataError refusal(std::span<const std::byte> bytes) {
  return testing::thrown_by<DataError>([&] { decode_png(bytes, PngColor::kGray, "dir/a.png", kMaxSide); });
}

TEST(PngTest, WhatIsWrittenIsReadBack) {
  for (const auto& [height, width] : {std::pair{1, 1}, {3, 5}, {64, 64}, {1, 64}}) {
    std::vector<uint8_t> pixels(static_cast<size_t>(height * width));
    for (size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<uint8_t>(i * i * 37 + i);
    const std::vector<std::byte> png = encode_gray_png(pixels, height, width);
    const PngImage image = decode_png(png, PngColor::kGray, "a.png", kMaxSide);
    EXPECT_EQ(image.height, height);
    EXPECT_EQ(image.width, width);
    EXPECT_EQ(image.pixels, pixels);
    EXPECT_EQ(encode_gray_png(pixels, height, width), png);
  }
}

TEST(PngTest, ReadsEveryKindAsGray) {
  EXPECT_THAT(decode(kGray, PngColor::kGray).pixels, ElementsAre(0, 50, 100, 150, 200, 255));
  EXPECT_THAT(decode(k16Bit, PngColor::kGray).pixels, ElementsAre(0, 50, 100, 150, 200, 255));
  EXPECT_THAT(decode(kInterlaced, PngColor::kGray).pixels, ElementsAre(0, 50, 100, 150, 200, 255));
  EXPECT_THAT(decode(kOneBit, PngColor::kGray).pixels, ElementsAre(0, 0, 0, 255, 255, 255));
  EXPECT_THAT(decode(kRgb, PngColor::kGray).pixels, ElementsAre(150, 138, 127, 115, 103, 91));  // as Pillow's `L`
  EXPECT_EQ(decode(kRgba, PngColor::kGray).pixels, decode(kRgb, PngColor::kGray).pixels);
}

TEST(PngTest, ReadsEveryKindAsColour) {
  EXPECT_THAT(decode(kRgb, PngColor::kRgb).pixels,
              ElementsAre(0, 255, 0, 50, 205, 25, 100, 155, 50, 150, 105, 75, 200, 55, 100, 255, 0, 127));
  EXPECT_EQ(decode(kRgba, PngColor::kRgb).pixels, decode(kRgb, PngColor::kRgb).pixels);
  EXPECT_EQ(decode(kPalette, PngColor::kRgb).pixels, decode(kRgb, PngColor::kRgb).pixels);
  EXPECT_THAT(decode(kOneBit, PngColor::kRgb).pixels,
              ElementsAre(0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255, 255));
}

TEST(PngTest, RefusesEveryTruncation) {
  const std::vector<std::byte> png = bytes_of(kRgb);
  EXPECT_STREQ(refusal({}).what(), "`dir/a.png`: the file is empty");
  for (size_t length = 1; length < png.size(); ++length) {
    const DataError error = refusal(std::span(png).first(length));
    EXPECT_THAT(error.what(), AnyOf(HasSubstr("ends early"), HasSubstr("PNG"))) << length;
    EXPECT_THAT(error.hint(), HasSubstr("PNG"));
  }
}

TEST(PngTest, RefusesDamage) {
  for (const size_t at : {0U, 20U, 41U, 50U, 70U}) {  // signature, header, data, their checksums
    std::vector<std::byte> png = bytes_of(kGray);
    png[at] ^= std::byte{0x10};
    EXPECT_THAT(refusal(png).what(), HasSubstr("dir/a.png")) << at;
  }
  EXPECT_THAT(refusal(std::vector<std::byte>(100, std::byte{'x'})).what(), HasSubstr("PNG"));
}

TEST(PngTest, RefusesHugeImagesBeforeTheyAreAllocated) {
  // 2147483647 x 2147483647 gray pixels, with the right checksum of the header.
  const auto huge = bytes_of(
      "89504e470d0a1a0a0000000d494844527fffffff7fffffff080000000031a254ba0000000849444154789c030000000001480689d20000"
      "000049454e44ae426082");
  EXPECT_THAT(refusal(huge).what(), AnyOf(HasSubstr("expected at most 64 a side"), HasSubstr("ends early")));
  const std::vector<uint8_t> wide(65, 0);
  EXPECT_THAT(refusal(encode_gray_png(wide, 1, 65)).what(),
              HasSubstr("it is 65 x 1 pixels, expected at most 64 a side"));
}

}  // namespace
}  // namespace lra::tasks
