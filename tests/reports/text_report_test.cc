// The printed report: what it says, and that it fits the page.
#include "reports/text_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "reports/units.h"
#include "tests/reports/sample_records.h"

namespace lra::reports {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

size_t longest_line_bytes(const std::string& text) {
  size_t longest = 0;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) longest = std::max(longest, line.size());
  return longest;
}

TEST(Verdict, SaysWhereTheAccuracyStandsToEachBaseline) {
  ResultRecord record = sample_train_record();
  EXPECT_EQ(verdict(record), "above the majority class, at the root operator shortcut");
  record.task.shortcut_baselines = {{"root_operator", 0.5}};
  record.task.majority_baseline = 0.38;
  EXPECT_EQ(verdict(record), "at the majority class, below the root operator shortcut");
  record.accuracy = {};
  EXPECT_EQ(verdict(record), "not tested");
}

TEST(RunReport, PutsTheAccuracyBesideItsBaselines) {
  const std::string report = run_report(sample_train_record());
  EXPECT_THAT(report, HasSubstr("test 37.20 % [35.11, 39.34] 95 % Wilson, 744 of 2,000"));
  EXPECT_THAT(report, HasSubstr("majority class 17.10 %: above"));
  EXPECT_THAT(report, HasSubstr("root operator shortcut 36.50 %: at"));
  EXPECT_THAT(report, HasSubstr("train 11.9 steps/s, 394 k tokens/s"));
  EXPECT_THAT(report, HasSubstr("executed tokens/s 406 k"));
  EXPECT_THAT(report, HasSubstr("forecast arena 71.0 MiB, peak arena 70.0 MiB"));
  EXPECT_THAT(report, HasSubstr("209,482 parameters"));
  EXPECT_THAT(report, HasSubstr("(1.001 x softmax)"));
  EXPECT_THAT(report, HasSubstr("(55 %),"));
  EXPECT_THAT(report, HasSubstr("train 41.00 %, of 228 GFLOP/s"));
}

TEST(RunReport, NamesTheDataThatStandInForTheTasksOwn) {
  ResultRecord record = sample_train_record();
  EXPECT_THAT(run_report(record), Not(HasSubstr("Data  ")));
  record.task.dataset_parameters["source_name"] = "pairs of reviews, not AAN";
  EXPECT_THAT(run_report(record), HasSubstr("pairs of reviews, not AAN"));
}

TEST(RunReport, FitsThePageAtAnyWidth) {
  ResultRecord record = sample_train_record();
  record.notes.push_back(std::string(200, 'x'));
  for (const int width : {40, 80, 120}) {
    EXPECT_LE(longest_line_bytes(run_report(record, width)), static_cast<size_t>(width));
  }
}

TEST(RunReport, LeavesOutWhatIsNotKnown) {
  ResultRecord record = sample_train_record();
  record.accuracy = {};
  record.speed = {};
  record.status = RunStatus::kInterrupted;
  const std::string report = run_report(record);
  EXPECT_THAT(report, Not(HasSubstr("Accuracy")));
  EXPECT_THAT(report, Not(HasSubstr("Speed")));
  EXPECT_THAT(report, HasSubstr("interrupted: listops"));
}

TEST(Units, ReadAsPeopleWriteThem) {
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(512), "512 B");
  EXPECT_EQ(format_bytes(1536), "1.50 KiB");
  EXPECT_EQ(format_bytes(std::int64_t{13} << 30), "13.0 GiB");
  EXPECT_EQ(format_scaled(12.34), "12.3");
  EXPECT_EQ(format_scaled(999.9), "1.00 k");
  EXPECT_EQ(format_scaled(406500), "406 k");
  EXPECT_EQ(format_integer(-1234567), "-1,234,567");
  EXPECT_EQ(format_integer(999), "999");
  EXPECT_EQ(format_duration_s(0.0835), "83.5 ms");
  EXPECT_EQ(format_duration_s(12.34), "12.3 s");
  EXPECT_EQ(format_duration_s(468), "7 m 48 s");
  EXPECT_EQ(format_duration_s(7 * 3600 + 65), "7 h 01 m");
  EXPECT_EQ(format_duration_s(3 * 86400), "3 d 00 h");
}

}  // namespace
}  // namespace lra::reports
