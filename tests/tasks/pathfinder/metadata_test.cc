// Metadata of the official layout: text and arrays of strings, and every way in which they can be malformed.
#include "tasks/pathfinder/metadata.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/errors.h"
#include "tests/temporary_directory.h"

namespace lra::tasks::pathfinder {
namespace {

using ::testing::HasSubstr;

std::vector<ImageRow> parse(std::string_view text) {
  std::vector<ImageRow> rows;
  parse_metadata(std::as_bytes(std::span(text.data(), text.size())), "metadata/3.npy",
                 [&](const ImageRow& row) { rows.push_back(row); });
  return rows;
}

std::string refusal(std::string_view text) {
  return testing::thrown_by<DataError>([&] { parse(text); }).what();
}

/// A NumPy file of strings of `width` characters: 1 byte each for `|S`, 4 for `<U`.
std::string array(const std::vector<std::vector<std::string>>& rows, size_t width, bool is_wide,
                  const std::string& order = "False") {
  const std::string type = (is_wide ? "<U" : "|S") + std::to_string(width);
  std::string header = "{'descr': '" + type + "', 'fortran_order': " + order + ", 'shape': (" +
                       std::to_string(rows.size()) + ", " + std::to_string(rows.at(0).size()) + "), }\n";
  std::string bytes = "\x93NUMPY";
  bytes += '\x01';
  bytes += '\0';
  bytes += static_cast<char>(header.size());
  bytes += '\0';
  bytes += header;
  for (const auto& row : rows) {
    for (const std::string& cell : row) {
      for (size_t i = 0; i < width; ++i) {
        bytes += i < cell.size() ? cell[i] : '\0';
        if (is_wide) bytes += std::string(3, '\0');
      }
    }
  }
  return bytes;
}

TEST(MetadataTest, ReadsTheTextOfTheArchive) {
  const auto rows = parse(
      "imgs/3 sample_0.png 0 1 1.0 14 4 2 0.5 1 1\n"
      "imgs/3  sample_1.png\t1 0 1.0 14 4 2 0.5 1 1\r\n"
      "imgs/3 sample_2.png 2 0");
  ASSERT_EQ(rows.size(), 3U);
  EXPECT_EQ(rows[0].path, "imgs/3/sample_0.png");
  EXPECT_EQ(rows[0].label, 1);
  EXPECT_EQ(rows[1].path, "imgs/3/sample_1.png");
  EXPECT_EQ(rows[1].label, 0);
  EXPECT_EQ(rows[2].line, 3U);
  EXPECT_TRUE(parse("").empty());
  ASSERT_EQ(parse("\xef\xbb\xbfimgs/0 a.png 0 1\n").size(), 1U);
}

TEST(MetadataTest, ReadsWhatItWrites) {
  const std::string line = metadata_line(default_parameters(32, Difficulty::kHard), 12, 345, 1, 1);
  EXPECT_EQ(line, "imgs/12 sample_345.png 345 1 1.0 14 4 2 0.5 1 1\n");
  const auto rows = parse(line);
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0].path, "imgs/12/sample_345.png");
}

TEST(MetadataTest, ReadsArraysOfStrings) {
  for (const bool is_wide : {false, true}) {
    const auto rows = parse(
        array({{"imgs/0", "sample_0.png", "0", "1", "1.0"}, {"imgs/0", "sample_1.png", "1", "0", "1.0"}}, 16, is_wide));
    ASSERT_EQ(rows.size(), 2U);
    EXPECT_EQ(rows[0].path, "imgs/0/sample_0.png");
    EXPECT_EQ(rows[0].label, 1);
    EXPECT_EQ(rows[1].label, 0);
    EXPECT_EQ(rows[1].line, 2U);
  }
}

TEST(MetadataTest, RefusesMalformedLinesWithTheirPlace) {
  const std::string good = "imgs/3 sample_0.png 0 1\n";
  EXPECT_THAT(refusal(good + "imgs/3 sample_1.png 1\n"),
              HasSubstr("`metadata/3.npy`, line 2, column 21: the line has 3 columns, expected at least 4"));
  EXPECT_THAT(refusal(good + "\n"), HasSubstr("line 2, column 1: the line has 0 columns"));
  EXPECT_THAT(refusal(good + "imgs/3 sample_1.png 1 2\n"),
              HasSubstr("line 2, column 23: expected the label 0 or 1, found `2`"));
  EXPECT_THAT(refusal("imgs/3 sample_1.png 1 1.0\n"), HasSubstr("found `1.0`"));
  EXPECT_THAT(refusal("/etc passwd 1 1\n"), HasSubstr("line 1, column 1: expected a folder such as imgs/0"));
  EXPECT_THAT(refusal("imgs/../.. passwd 1 1\n"), HasSubstr("expected a folder"));
  EXPECT_THAT(refusal("imgs/0 a/b 1 1\n"), HasSubstr("line 1, column 8: expected a file name"));
  EXPECT_THAT(refusal("imgs/0 .. 1 1\n"), HasSubstr("expected a file name"));
  EXPECT_THAT(refusal(std::string("imgs/0 a\x01 1 1\n")), HasSubstr("found `a\\x01`"));
  EXPECT_THAT(refusal("imgs/0 " + std::string(2000, 'x') + " 1 1\n"), HasSubstr("x…"));
}

TEST(MetadataTest, RefusesMalformedArrays) {
  const std::string good = array({{"imgs/0", "a.png", "0", "1"}}, 8, true);
  EXPECT_EQ(parse(good).size(), 1U);
  for (size_t length = 6; length < good.size(); ++length) EXPECT_FALSE(refusal(good.substr(0, length)).empty());
  EXPECT_THAT(refusal(good + "x"), HasSubstr("bytes follow the header, expected 1 rows"));
  EXPECT_THAT(refusal(array({{"imgs/0", "a.png", "0", "1"}}, 8, true, "True")), HasSubstr("only C order is read"));
  EXPECT_THAT(refusal(array({{"imgs/0", "a.png", "0"}}, 8, false)),
              HasSubstr("line 1, column 3: the line has 3 columns"));
  EXPECT_THAT(refusal(array({{"imgs/0", "a.png", "0", "7"}}, 8, false)),
              HasSubstr("line 1, column 4: expected the label"));
  EXPECT_THAT(refusal(array({{"imgs/0", "\xc3\xa9.png", "0", "1"}}, 8, false)), HasSubstr("not ASCII"));
  std::string other_type = good;
  other_type.replace(other_type.find("<U"), 2, "<f");
  EXPECT_THAT(refusal(other_type), HasSubstr("the array holds `<f8` in place of strings"));
  std::string wide = good;
  wide.replace(wide.find("<U8"), 3, "<U0");
  EXPECT_THAT(refusal(wide), HasSubstr("an array `<U0` of shape (1, 4)"));
}

}  // namespace
}  // namespace lra::tasks::pathfinder
