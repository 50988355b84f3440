// Gzip files that are entered in the middle.
#include "tasks/gzip_file.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <random>

#include "engine/errors.h"
#include "tests/temporary_directory.h"

namespace lra::tasks {
namespace {

using testing::TemporaryDirectory;
using testing::write_bytes;

std::string gzip(const std::string& text, int level) {
  z_stream stream{};
  EXPECT_EQ(::deflateInit2(&stream, level, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY), Z_OK);
  std::string packed(::deflateBound(&stream, text.size()), '\0');
  std::string input = text;
  stream.next_in = reinterpret_cast<unsigned char*>(input.data());
  stream.avail_in = static_cast<unsigned>(input.size());
  stream.next_out = reinterpret_cast<unsigned char*>(packed.data());
  stream.avail_out = static_cast<unsigned>(packed.size());
  EXPECT_EQ(::deflate(&stream, Z_FINISH), Z_STREAM_END);
  packed.resize(stream.total_out);
  ::deflateEnd(&stream);
  return packed;
}

/// Some that compresses well and some that does not; refers back as far as it can.
std::string sample(size_t bytes, unsigned seed) {
  std::mt19937 random(seed);
  std::string text;
  while (text.size() < bytes) {
    const size_t back = 1 + random() % 40'000;
    if (random() % 4 == 0 || text.size() < back) {
      for (int i = 0; i < 300; ++i) text += static_cast<char>(random());
    } else {
      text += text.substr(text.size() - back, 1 + random() % 400);
    }
  }
  text.resize(bytes);
  return text;
}

std::string rest_of(GzipFile& file) {
  std::string text;
  std::vector<std::byte> piece(100'000);
  for (size_t count = file.read(piece); count > 0; count = file.read(piece)) {
    text.append(reinterpret_cast<const char*>(piece.data()), count);
  }
  return text;
}

/// Reads all in pieces and returns every point that is told on the way.
std::vector<GzipPoint> points_of(const std::filesystem::path& path) {
  std::vector<GzipPoint> points;
  GzipFile file(path);
  std::vector<std::byte> piece(100'000);
  while (file.read(piece) > 0) {
    const std::optional<GzipPoint> point = file.point_before(file.expanded_bytes());
    if (!point) continue;
    EXPECT_LE(point->expanded_bytes, file.expanded_bytes());
    EXPECT_LT(file.expanded_bytes() - point->expanded_bytes, 5 << 20);
    if (points.empty() || points.back().expanded_bytes != point->expanded_bytes) points.push_back(*point);
  }
  return points;
}

TEST(GzipFileTest, GoesOnAtEveryPoint) {
  const TemporaryDirectory directory;
  for (const int level : {0, 1, 6, 9}) {
    const std::string text = sample(14'000'000, static_cast<unsigned>(level));
    write_bytes(directory / "x.gz", gzip(text, level));
    const std::vector<GzipPoint> points = points_of(directory / "x.gz");
    EXPECT_GE(points.size(), 3) << level;
    bool has_shared_bits = false;
    for (const GzipPoint& point : points) {
      has_shared_bits |= point.shared_bits > 0;
      GzipFile file(directory / "x.gz", point);
      ASSERT_TRUE(rest_of(file) == text.substr(point.expanded_bytes)) << level << " " << point.expanded_bytes;
      EXPECT_EQ(file.expanded_bytes(), text.size());
    }
    EXPECT_EQ(has_shared_bits, level > 0);
  }
}

TEST(GzipFileTest, GoesOnThroughTheMembersThatFollow) {
  const TemporaryDirectory directory;
  std::string text;
  std::string packed;
  for (unsigned member = 0; member < 3; ++member) {
    const std::string part = sample(5'000'000, member);
    text += part;
    packed += gzip(part, 6);
  }
  write_bytes(directory / "x.gz", packed);
  const std::vector<GzipPoint> points = points_of(directory / "x.gz");
  EXPECT_GE(points.size(), 2);
  for (const GzipPoint& point : points) {
    GzipFile file(directory / "x.gz", point);
    ASSERT_TRUE(rest_of(file) == text.substr(point.expanded_bytes)) << point.expanded_bytes;
    // … and from points that the second reading tells.
    GzipFile again(directory / "x.gz", point);
    again.skip_to(text.size() - 1'000'000);
    const std::optional<GzipPoint> later = again.point_before(text.size() - 1'000'000);
    ASSERT_TRUE(later.has_value());
    GzipFile third(directory / "x.gz", later);
    ASSERT_TRUE(rest_of(third) == text.substr(later->expanded_bytes));
  }
}

TEST(GzipFileTest, TheChecksumIsComparedAllTheSame) {
  const TemporaryDirectory directory;
  const std::string packed = gzip(sample(9'000'000, 1), 6);
  write_bytes(directory / "x.gz", packed);
  const std::vector<GzipPoint> points = points_of(directory / "x.gz");
  ASSERT_FALSE(points.empty());
  const auto expect_refused = [&](const GzipPoint& point) {
    EXPECT_THROW(
        {
          GzipFile file(directory / "x.gz", point);
          rest_of(file);
        },
        DataError);
  };
  for (const int64_t at : {-8, -5, -4, -1, -1000}) {
    testing::flip_byte(directory / "x.gz", at);
    expect_refused(points.back());
    testing::flip_byte(directory / "x.gz", at);
  }
  GzipPoint other = points.back();
  ++other.member_crc;
  expect_refused(other);
  other = points.back();
  other.window[other.window.size() - 1] ^= 1;
  expect_refused(other);
  for (const size_t kept : {packed.size() - 1, packed.size() - 8, packed.size() - 9}) {
    write_bytes(directory / "x.gz", packed.substr(0, kept));
    expect_refused(points.back());
  }
}

TEST(GzipFileTest, ShortFilesAreReadFromTheirStart) {
  const TemporaryDirectory directory;
  write_bytes(directory / "x.gz", gzip("short", 6));
  EXPECT_TRUE(points_of(directory / "x.gz").empty());
  GzipFile file(directory / "x.gz");
  file.skip_to(2);
  EXPECT_EQ(rest_of(file), "ort");
  EXPECT_THROW(GzipFile(directory / "x.gz").skip_to(6), DataError);
}

}  // namespace
}  // namespace lra::tasks
