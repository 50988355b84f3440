#include "tasks/tsv.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/errors.h"
#include "tests/temporary_directory.h"

namespace lra::tasks {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::thrown_by;

/// Gives `text` in pieces of `step` bytes.
class SteppedStream final : public ByteStream {
 public:
  SteppedStream(std::string text, size_t step) : text_(std::move(text)), rest_(text_), step_(step) {}
  size_t read(std::span<std::byte> buffer) override { return rest_.read(buffer.first(std::min(step_, buffer.size()))); }

 private:
  std::string text_;
  MemoryStream rest_;
  size_t step_;
};

using Rows = std::vector<std::vector<std::string>>;

Rows rows_of(const std::string& text, std::vector<uint64_t> kept, size_t step = 1 << 20,
             TsvReader::LastColumn last = TsvReader::LastColumn::kEndsAtTab) {
  SteppedStream bytes(text, step);
  std::vector<TsvColumn> columns;
  for (const uint64_t count : kept) columns.push_back({"c" + std::to_string(columns.size()), count});
  TsvReader reader(bytes, "x.tsv", columns, last, "mend the row");
  Rows rows;
  while (reader.next()) {
    rows.emplace_back();
    for (size_t c = 0; c < kept.size(); ++c) rows.back().emplace_back(reader.field(c));
    EXPECT_EQ(reader.line(), static_cast<int64_t>(rows.size()));
  }
  return rows;
}

TEST(TsvReaderTest, RowsDoNotDependOnHowTheBytesArrive) {
  const std::string text = "a\tbc\r\n\t\r\nd\r\te\"f\r\r\n\"x\ty\nlast\tz";
  const Rows expected{{"a", "bc"}, {"", ""}, {"d\r", "e\"f\r"}, {"\"x", "y"}, {"last", "z"}};
  for (size_t step = 1; step <= text.size(); ++step) EXPECT_EQ(rows_of(text, {9, 9}, step), expected) << step;
}

TEST(TsvReaderTest, GoesOnAfterEachRow) {
  const std::string text =
      "\xEF\xBB\xBF"
      "a\tbc\r\n\t\r\nd\r\te\"f\r\r\n\"x\ty\nlast\tz";
  const Rows rows = rows_of(text, {9, 9});
  for (const size_t step : {1U, 2U, 5U, 100U}) {
    SteppedStream bytes(text, step);
    const std::vector<TsvColumn> columns{{"a", 9}, {"b", 9}};
    TsvReader reader(bytes, "x.tsv", columns, TsvReader::LastColumn::kEndsAtTab, "mend");
    for (size_t row = 0; reader.next(); ++row) {
      SteppedStream left(text.substr(reader.end_bytes()), step);
      TsvReader other(left, "x.tsv", columns, TsvReader::LastColumn::kEndsAtTab, "mend", row + 1);
      for (size_t next = row + 1; next < rows.size(); ++next) {
        ASSERT_TRUE(other.next());
        EXPECT_EQ(other.line(), static_cast<int64_t>(next) + 1);
        EXPECT_EQ(other.field(0), rows[next][0]);
        EXPECT_EQ(other.field(1), rows[next][1]);
      }
      EXPECT_FALSE(other.next());
    }
  }
}

TEST(TsvReaderTest, AByteOrderMarkIsNoPartOfTheFirstField) {
  const std::string mark = "\xEF\xBB\xBF";
  for (const size_t step : {1U, 2U, 3U, 4U, 100U}) {
    EXPECT_EQ(rows_of(mark + "a\tb\nc\td\n", {9, 9}, step), (Rows{{"a", "b"}, {"c", "d"}})) << step;
    EXPECT_EQ(rows_of("a\t" + mark + "b\n" + mark + "c\td\n", {9, 9}, step),
              (Rows{{"a", mark + "b"}, {mark + "c", "d"}}))
        << step;
    EXPECT_THAT(rows_of(mark, {9}, step), ElementsAre());
    EXPECT_EQ(rows_of("\xEF\xBB", {9}, step), (Rows{{"\xEF\xBB"}})) << step;
    EXPECT_EQ(rows_of("x", {9}, step), (Rows{{"x"}})) << step;
  }
}

TEST(TsvReaderTest, OnlyWhatIsAskedForIsKept) {
  SteppedStream bytes("abcdef\tghij\r\nk\tl\n", 3);
  TsvReader reader(bytes, "x.tsv", {{"a", 2}, {"b", 3}}, TsvReader::LastColumn::kEndsAtTab, "mend");
  ASSERT_TRUE(reader.next());
  EXPECT_EQ(reader.field(0), "ab");
  EXPECT_EQ(reader.field_bytes(0), 6U);
  EXPECT_EQ(reader.field(1), "ghi");
  EXPECT_EQ(reader.field_bytes(1), 4U);
  EXPECT_THAT(thrown_by<DataError>([&] { reader.fail(1, 2, "odd"); }).what(),
              HasSubstr("`x.tsv`, line 1, column 10: odd"));
  ASSERT_TRUE(reader.next());
  EXPECT_EQ(reader.field_bytes(0), 1U);
  EXPECT_FALSE(reader.next());
}

TEST(TsvReaderTest, EndsOfFile) {
  EXPECT_TRUE(rows_of("", {9}).empty());
  EXPECT_EQ(rows_of("\n", {9}), (Rows{{""}}));
  EXPECT_EQ(rows_of("a\r", {9}), (Rows{{"a"}}));
}

TEST(TsvReaderTest, TheLastColumnMayTakeTabs) {
  EXPECT_EQ(rows_of("1\ta\tb\n", {9, 9}, 2, TsvReader::LastColumn::kTakesTabs), (Rows{{"1", "a\tb"}}));
}

TEST(TsvReaderTest, WrongNumbersOfColumnsAreRefused) {
  const auto error_of = [](const std::string& text) {
    const auto error = thrown_by<DataError>([&] { rows_of(text, {9, 9, 9}, 2); });
    EXPECT_EQ(error.hint(), "mend the row");
    return std::string(error.what());
  };
  EXPECT_THAT(error_of("a\tb\tc\na\tb\r\n"),
              HasSubstr("line 2, column 4: expected a tab and the column `c2` (3 of 3)"));
  EXPECT_THAT(error_of("\n"), HasSubstr("line 1, column 1: expected a tab and the column `c1`"));
  EXPECT_THAT(error_of("a\tb\tc\t\n"), HasSubstr("line 1, column 6: expected the end of the line after 3 columns"));
}

}  // namespace
}  // namespace lra::tasks
