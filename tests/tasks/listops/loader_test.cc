#include "tasks/listops/loader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "engine/errors.h"
#include "tests/temporary_directory.h"

namespace lra::tasks::listops {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::TemporaryDirectory;
using testing::thrown_by;
using testing::write_bytes;

struct Row {
  std::vector<uint8_t> tokens;
  int target = 0;
  bool operator==(const Row&) const = default;
};

std::vector<Row> rows_of(const std::string& text, int64_t max_length = 2000) {
  std::vector<Row> rows;
  MemoryStream bytes(text);
  read_official_file(bytes, "dir/basic_val.tsv", max_length, [&](auto tokens, int target, const auto&) {
    rows.push_back({{tokens.begin(), tokens.end()}, target});
  });
  return rows;
}

/// The message for a file with this second line, after the path.
std::string error_of(const std::string& text, int64_t max_length = 2000) {
  const auto error = thrown_by<DataError>([&] { rows_of(text, max_length); });
  EXPECT_FALSE(error.hint().empty());
  EXPECT_THAT(error.what(), HasSubstr("basic_val.tsv`"));
  return error.what();
}

std::string second_line_error(const std::string& line) { return error_of("Source\tTarget\n" + line + "\n"); }

const Row kExample{{12, 3, 10, 15}, 9};

TEST(LoaderTest, ReadsTheOfficialExampleWithEitherLineEnd) {
  const std::string example = "( ( ( [MAX 2 ) 9 ) ] )\t9";
  for (const std::string end : {"\n", "\r\n"}) {
    const auto rows = rows_of("Source\tTarget" + end + example + end + example + end);
    EXPECT_THAT(rows, ElementsAre(kExample, kExample));
    EXPECT_EQ(rows_of("Source\tTarget" + end + example), std::vector<Row>{kExample}) << "no line end at the end";
    EXPECT_TRUE(rows_of("Source\tTarget" + end).empty());
  }
}

TEST(LoaderTest, EmptyFileAndOtherHeadersAreRefused) {
  EXPECT_THAT(error_of(""), HasSubstr("is empty: expected the header"));
  EXPECT_THAT(error_of("Source,Target\n1,1\n"), HasSubstr("line 1, column 1: expected the header"));
  EXPECT_THAT(error_of("( 1 )\t1\n"), HasSubstr("line 1"));
  EXPECT_THAT(error_of("\nSource\tTarget\n"), HasSubstr("line 1"));
}

TEST(LoaderTest, MalformedRowsAreRefusedWithLineColumnAndExpectation) {
  EXPECT_THAT(second_line_error("[MAX 1 2 ]"), HasSubstr("line 2, column 11: expected a tab"));
  EXPECT_THAT(second_line_error(""), HasSubstr("line 2, column 1: expected a tab"));
  EXPECT_THAT(second_line_error("[MAX 1 2 ]\t"), HasSubstr("line 2, column 12: expected a target"));
  EXPECT_THAT(second_line_error("[MAX 1 2 ]\t10"), HasSubstr("expected a target between 0 and 9"));
  EXPECT_THAT(second_line_error("[MAX 1 2 ]\t2\t2"), HasSubstr("expected a target"));
  EXPECT_THAT(second_line_error("[MAX 1 2 ]\t-"), HasSubstr("expected a target"));
  EXPECT_THAT(second_line_error("[MAX 1 FIRST ]\t2"), HasSubstr("line 2, column 8: expected a digit"));
  EXPECT_THAT(second_line_error("( [MAX 1 2 ]\t2"), HasSubstr("column 13: 1 `)` missing"));
  EXPECT_THAT(second_line_error("[MAX 1 2 ] )\t2"), HasSubstr("column 12: `)` closes nothing"));
  EXPECT_THAT(second_line_error("[MAX 1 2\t2"), HasSubstr("column 9: 1 `]` missing"));
  EXPECT_THAT(second_line_error("[MAX 1 2 ] ]\t2"), HasSubstr("column 12: the expression was complete"));
  EXPECT_THAT(second_line_error("[MAX ]\t2"), HasSubstr("column 6: an operator has no arguments"));
  EXPECT_THAT(second_line_error("\t2"), HasSubstr("column 1: there is no expression"));
  EXPECT_THAT(second_line_error("MAX 1 2\t2"), HasSubstr("found `MAX`")) << "the old files without brackets";
}

TEST(LoaderTest, ATargetThatIsNotTheValueIsRefused) {
  EXPECT_THAT(second_line_error("[MAX 1 2 ]\t1"),
              HasSubstr("column 12: expected the value of the expression, 2, found 1"));
}

TEST(LoaderTest, ExpressionsThatWouldBeCutAreRefused) {
  const std::string text = "Source\tTarget\n[MAX 1 2 ]\t2\n";
  EXPECT_EQ(rows_of(text, 5).size(), 1U);
  EXPECT_THAT(error_of(text, 4), HasSubstr("has 4 tokens, expected fewer than 4"));
}

}  // namespace
}  // namespace lra::tasks::listops
