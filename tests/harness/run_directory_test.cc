// Run directories: names, the metrics log and its resumption, JSON files.
#include "harness/run_directory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/errors.h"

namespace lra::harness {
namespace {

using Json = nlohmann::ordered_json;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using ::testing::ThrowsMessage;

class RunDirectoryTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "lra_run_XXXXXX").string();
    directory_ = ::mkdtemp(pattern.data());
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::vector<std::string> lines() const {
    std::ifstream file(log_path());
    std::vector<std::string> all;
    for (std::string line; std::getline(file, line);) all.push_back(line);
    return all;
  }
  std::filesystem::path log_path() const { return directory_ / "metrics.jsonl"; }

  std::filesystem::path directory_;
};

TEST_F(RunDirectoryTest, IsNamedByTaskAttentionLengthHashAndSeed) {
  const RunKey key = {
      .task = "listops", .attention = "cosformer", .sequence_length = 2000, .config_hash = "0123456789ab", .seed = 3};
  EXPECT_EQ(run_directory("runs", key), "runs/listops/cosformer/n2000/0123456789ab/seed3");
}

TEST_F(RunDirectoryTest, NeverLeavesItsParent) {
  for (const char* name : {"..", "", "a/b", "/etc", ".hidden", "a b"}) {
    EXPECT_THROW(run_directory("runs", {.task = name, .attention = "x", .config_hash = "0"}), UsageError) << name;
  }
}

TEST_F(RunDirectoryTest, LogsOneObjectALineWithTheTimestampFirst) {
  MetricsLog log(log_path());
  log.append(10, "train", {{"loss", 1.5}, {"train/learning_rate", 1e-4}});
  log.append(20, "train", {{"loss", std::nan("")}});
  ASSERT_THAT(lines(), SizeIs(2));  // without closing: written through
  EXPECT_EQ(without_timestamp(lines()[0]), R"({"step":10,"split":"train","loss":1.5,"train/learning_rate":0.0001})");
  EXPECT_EQ(without_timestamp(lines()[1]), R"({"step":20,"split":"train","loss":null})");
  EXPECT_THAT(lines()[0], HasSubstr(R"({"ts_ms":)"));
  EXPECT_EQ(log.bytes(), std::filesystem::file_size(log_path()));
}

TEST_F(RunDirectoryTest, ResumesFromTheLengthACheckpointKept) {
  std::uint64_t checkpoint_bytes = 0;
  {
    MetricsLog log(log_path());
    log.append(1, "train", {{"loss", 2.0}});
    log.sync();
    checkpoint_bytes = log.bytes();
    log.append(2, "train", {{"loss", 1.9}});
  }
  std::ofstream(log_path(), std::ios::app) << R"({"ts_ms":17)";  // killed while it wrote
  MetricsLog log(log_path(), checkpoint_bytes);
  log.append(2, "train", {{"loss", 1.9}});
  ASSERT_THAT(lines(), SizeIs(2));
  EXPECT_EQ(without_timestamp(lines()[1]), R"({"step":2,"split":"train","loss":1.9})");
}

TEST_F(RunDirectoryTest, StartsAnewWithoutALengthToKeep) {
  { MetricsLog(log_path()).append(1, "train", {{"loss", 2.0}}); }
  MetricsLog log(log_path());
  EXPECT_THAT(lines(), SizeIs(0));
}

TEST_F(RunDirectoryTest, RefusesALogThatDoesNotMatchTheCheckpoint) {
  { MetricsLog(log_path()).append(1, "train", {{"loss", 2.0}}); }
  EXPECT_THAT([&] { MetricsLog(log_path(), 1000); }, ThrowsMessage<DataError>(HasSubstr("counts on 1000")));
  EXPECT_THAT([&] { MetricsLog(log_path(), 5); }, ThrowsMessage<DataError>(HasSubstr("does not end a line")));
  EXPECT_THROW(MetricsLog(directory_ / "missing" / "metrics.jsonl"), ResourceError);
  EXPECT_THROW(without_timestamp("{}"), DataError);
}

TEST_F(RunDirectoryTest, WritesAndReadsJson) {
  const std::filesystem::path path = directory_ / "result.json";
  write_json(path, {{"b", 1}, {"a", INFINITY}});
  EXPECT_EQ(read_json(path).dump(), R"({"b":1,"a":null})");
  std::ofstream(path) << "{\"b\":";
  EXPECT_THAT([&] { read_json(path); }, ThrowsMessage<DataError>(HasSubstr("result.json: not valid JSON")));
  EXPECT_THROW(read_json(directory_ / "absent.json"), DataError);
}

}  // namespace
}  // namespace lra::harness
