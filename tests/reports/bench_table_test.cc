// The tables of `lra bench`: what they say, and that they fit the page.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

#include "reports/text_report.h"
#include "tests/reports/sample_records.h"

namespace lra::reports {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

/// Characters, not bytes, of the longest line.
size_t longest_line(const std::string& text) {
  size_t longest = 0;
  for (const std::string& line : lines_of(text)) {
    const auto continuation = [](char byte) { return (static_cast<unsigned char>(byte) & 0xc0) == 0x80; };
    longest =
        std::max(longest, line.size() - static_cast<size_t>(std::count_if(line.begin(), line.end(), continuation)));
  }
  return longest;
}

TEST(BenchTable, HasARowForEachCellAndFitsThePage) {
  std::vector<ResultRecord> records(3, sample_bench_record());
  records[1].attention.name = "a_mechanism_with_a_very_long_name";
  records[2].status = RunStatus::kDoesNotFit;
  records[2].speed = {};
  records[2].mfu = {};
  records[2].bound = {};
  records[2].sequence_length = 65536;
  const std::string table = bench_table(records);
  EXPECT_LE(longest_line(table), 80u);
  EXPECT_THAT(table, HasSubstr("nystromformer"));
  EXPECT_THAT(table, HasSubstr("a_mechanism_~"));
  EXPECT_THAT(table, HasSubstr("too large"));
  EXPECT_THAT(table, HasSubstr("65,536"));
  EXPECT_THAT(table, HasSubstr("41.0 %"));
  EXPECT_THAT(table, HasSubstr("70.0 MiB"));
}

TEST(BenchTable, ShowsHowSureItIsAndWhatShareOfTheBoundWasReached) {
  const std::vector<ResultRecord> records = {sample_bench_record()};
  const std::vector<std::string> lines = lines_of(bench_table(records));
  EXPECT_THAT(lines[0], HasSubstr("steps/s      ± tokens/s    MFU bound"));
  EXPECT_THAT(lines[1], HasSubstr("11.9  1.2 %    394 k 41.0 %  62 %"));  // 1 ms of 83.5, 52 ms of 83.5
}

TEST(BenchTable, SaysInFootnotesWhatItRestsOn) {
  std::vector<ResultRecord> records(2, sample_bench_record());
  records[1].speed.warmup_steps_excluded = 30;
  records[1].speed.steady_state = false;
  records[1].mfu.peak_sgemm_gflops = 240;
  const std::string table = bench_table(records);
  EXPECT_THAT(table, HasSubstr("10 to 30 warm-up steps"));
  EXPECT_THAT(table, HasSubstr("nystromformer at n = 2,000 had not settled in 30 steps"));
  EXPECT_THAT(table, HasSubstr("228 to 240 GFLOP/s"));
  EXPECT_THAT(table, HasSubstr("bound: what the step's products, exponentials and random draws would take"));
  records.pop_back();
  EXPECT_THAT(bench_table(records), Not(HasSubstr("settled")));
}

TEST(ProfileTable, HasARowForEachGroupAndAddsUpToTheStep) {
  const std::string table = profile_table(sample_bench_record());
  const std::vector<std::string> lines = lines_of(table);
  EXPECT_LE(longest_line(table), 110u);
  EXPECT_THAT(lines[0], HasSubstr("nystromformer, n = 2,000, train, 2 threads"));
  EXPECT_THAT(lines[0], HasSubstr("peak 114 GFLOP/s, 15.8 GB/s"));  // of one worker
  EXPECT_THAT(lines[2],
              ContainsRegex("^fwd +linear +layers.\\*.ffn +16 +60.0 +600.00 +110.0 +3.00 MiB +1.00 MiB +5.0 +90 %$"));
  EXPECT_THAT(
      lines[3],
      ContainsRegex("^bwd +an_operation_with_a[a-z_]*~ +layers.*~ +12,345 +25.0 +250.00 +- +1000 B +- +1.0 +-$"));
  EXPECT_THAT(lines[4], ContainsRegex("^opt +sum lanes, clip, [a-z]*~ +1 +5.0 +50.00 "));
  EXPECT_THAT(table, ContainsRegex("\nforward kernels +16 +60.0 +600.00\n"));
  EXPECT_THAT(table, ContainsRegex("\nbackward kernels +12,345 +25.0 +250.00\n"));
  EXPECT_THAT(table, ContainsRegex("\nbetween kernels +248 +4.0 +40.00\n"));
  EXPECT_THAT(lines.back(), ContainsRegex("^step, measured without the profile +100.0 +1000.00$"));
}

TEST(ProfileTable, DropsAnEndingThatThePassTells) {
  ResultRecord record = sample_bench_record();
  ProfileRow& row = (*record.profile)[1];
  row.operation = "linear_attention_sums_gradient";
  row.scope = "layers.*.attention";
  EXPECT_THAT(profile_table(record), HasSubstr("bwd  linear_attention_sums "));
  row.operation = "layer_norm_backward";  // fits as it is
  EXPECT_THAT(profile_table(record), HasSubstr("bwd  layer_norm_backward "));
}

TEST(ProfileTable, AlignsItsColumns) {
  const std::vector<std::string> lines = lines_of(profile_table(sample_bench_record()));
  ASSERT_EQ(lines.size(), 11u);
  for (size_t i = 2; i < 5; ++i) EXPECT_EQ(lines[i].size(), lines[1].size()) << lines[i];
  EXPECT_EQ(lines[5].size(), lines[1].size());
}

TEST(ProfileTable, IsEmptyWithoutAProfile) { EXPECT_EQ(profile_table(sample_train_record()), ""); }

}  // namespace
}  // namespace lra::reports
