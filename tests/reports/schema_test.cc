// Records against the published JSON Schema, judged by an independent validator.
#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <string>
#include <vector>

#include "tests/reports/sample_records.h"
#include "tests/reports/schema_check.h"

namespace lra::reports {
namespace {

using Json = nlohmann::json;

std::string violations(const Json& record) { return testing::violations_of_schema(record); }

/// Keys that came after version 1 was first published: always written, but older records lack them.
/// Objects whose keys are not the schema's.
const std::set<std::string> kFreeKeys = {"/attention/parameters", "/task/dataset_parameters",
                                         "/task/shortcut_baselines"};

const std::set<std::string> kLaterKeys = {"/bound",
                                          "/task/dataset_parameters",
                                          "/noise",
                                          "/initial_weights",
                                          "/attention/plugin",
                                          "/profile",
                                          "/speed/steady_state",
                                          "/speed/start_up_s",
                                          "/speed/train_step_ms/median95",
                                          "/mfu/median95",
                                          "/mfu/peak_samples_gflops",
                                          "/memory/bandwidth_gb_per_s",
                                          "/environment/kernel_isa",
                                          "/environment/cpu_id",
                                          "/environment/l2_bytes",
                                          "/environment/l3_bytes"};

/// The plain (sorted) JSON of a record, as another program would parse it.
Json plain(const ResultRecord& record) { return Json::parse(to_json(record).dump()); }

TEST(ResultSchema, AcceptsATrainRecord) { EXPECT_EQ(violations(plain(sample_train_record())), ""); }

TEST(ResultSchema, AcceptsABenchRecord) { EXPECT_EQ(violations(plain(sample_bench_record())), ""); }

TEST(ResultSchema, AcceptsADivergedAndAnInterruptedRunAndACellThatDoesNotFit) {
  ResultRecord record = sample_train_record();
  record.accuracy = {};
  record.loss.train = std::nan("");
  record.status = RunStatus::kDiverged;
  EXPECT_EQ(violations(plain(record)), "");
  record.status = RunStatus::kInterrupted;
  EXPECT_EQ(violations(plain(record)), "");
  ResultRecord cell = sample_bench_record();
  cell.status = RunStatus::kDoesNotFit;
  cell.speed = {};
  cell.mfu = {};
  EXPECT_EQ(violations(plain(cell)), "");
}

TEST(ResultSchema, AcceptsKeysAddedLater) {
  Json record = plain(sample_train_record());
  record["energy_joules"] = 12;
  EXPECT_EQ(violations(record), "");
}

struct Mutation {
  const char* pointer;
  Json value;
};

TEST(ResultSchema, RefusesWrongValues) {
  const std::vector<Mutation> mutations = {
      {"/schema_version", 2},
      {"/kind", "evaluate"},
      {"/status", "ok"},
      {"/status", "measured"},  // of a bench, not of a training run
      {"/accuracy/test", 37.2},
      {"/accuracy/test", nullptr},  // a converged run was tested
      {"/accuracy/wilson95", Json::array({0.1})},
      {"/accuracy/test_correct", 1.5},
      {"/selection", "first"},
      {"/task/name", ""},
      {"/task/dataset_sha256", "abc"},
      {"/task/dataset_parameters", "listops"},
      {"/task/shortcut_baselines/root_operator", 2},
      {"/config_hash", "0123456789AB"},
      {"/seed", -1},
      {"/lanes", 0},
      {"/threads", "2"},
      {"/model/heads", 0},
      {"/speed/train_steps_per_s", -1},
      {"/speed/train_step_ms", Json::object({{"p50", 1}})},
      {"/speed/phase_s/eval", "long"},
      {"/mfu/samples", 0.4},
      {"/memory/peak_rss_bytes", 1.5},
      {"/environment/started_at", "yesterday"},
      {"/notes", "none"},
  };
  for (const Mutation& mutation : mutations) {
    Json record = plain(sample_train_record());
    record[Json::json_pointer(mutation.pointer)] = mutation.value;
    EXPECT_NE(violations(record), "") << mutation.pointer << " = " << mutation.value;
  }
}

TEST(ResultSchema, RefusesWrongValuesOfABench) {
  const std::vector<Mutation> mutations = {
      {"/speed/steady_state", "yes"},
      {"/speed/start_up_s", -1},
      {"/speed/train_step_ms/median95", Json::array({1})},
      {"/mfu/median95", 0.4},
      {"/mfu/peak_samples_gflops", Json::array({"fast"})},
      {"/memory/bandwidth_gb_per_s", 12.5},
      {"/memory/bandwidth_gb_per_s/before", -1},
      {"/bound/share_reached", "most"},
      {"/noise/outlier_share", 2},
      {"/noise/thermal_throttles", 0.5},
      {"/profile", "none"},
      {"/profile/0/phase", "sideways"},
      {"/profile/0/bytes", -1},
      {"/profile/0", Json::object({{"phase", "forward"}})},
  };
  for (const Mutation& mutation : mutations) {
    Json record = plain(sample_bench_record());
    record[Json::json_pointer(mutation.pointer)] = mutation.value;
    EXPECT_NE(violations(record), "") << mutation.pointer << " = " << mutation.value;
  }
}

TEST(ResultSchema, AcceptsRecordsFromBeforeTheLaterKeys) {
  Json record = plain(sample_bench_record());
  for (const std::string& pointer : kLaterKeys) {
    const Json::json_pointer at(pointer);
    ASSERT_TRUE(record.contains(at)) << pointer << " is not written";
    record.at(at.parent_pointer()).erase(at.back());
  }
  EXPECT_EQ(violations(record), "");
  EXPECT_FALSE(record_from_json(record).profile.has_value());
}

TEST(ResultSchema, RefusesABenchThatConvergedOrMeasuredNothing) {
  Json record = plain(sample_bench_record());
  record["status"] = "converged";
  EXPECT_NE(violations(record), "");
  record = plain(sample_bench_record());
  record["speed"]["train_steps_per_s"] = nullptr;
  EXPECT_NE(violations(record), "");
}

/// Erases each key in turn, at every depth that the schema requires.
void expect_each_key_required(const Json& record, const Json::json_pointer& at) {
  for (const auto& [key, value] : record.at(at).items()) {
    if (kFreeKeys.contains(at.to_string())) continue;
    if (kLaterKeys.contains((at / key).to_string())) continue;
    Json without = record;
    without.at(at).erase(key);
    EXPECT_NE(violations(without), "") << (at / key).to_string() << " can be left out unnoticed";
    if (value.is_object()) expect_each_key_required(record, at / key);
  }
}

TEST(ResultSchema, RequiresEveryKeyThatTheWriterWrites) {
  expect_each_key_required(plain(sample_train_record()), Json::json_pointer());
}

/// Walks `properties` beside a record: a key of the schema that is never written is a stale schema.
void expect_only_written_keys(const Json& rule, const Json& record, const std::string& path) {
  if (!rule.contains("properties")) return;
  ASSERT_TRUE(record.is_object()) << path;
  for (const auto& [key, inner] : rule["properties"].items()) {
    ASSERT_TRUE(record.contains(key)) << path << "/" << key;
    if (inner.contains("properties") && !record[key].is_null())
      expect_only_written_keys(inner, record[key], path + "/" + key);
    if (inner.contains("items") && record[key].is_array() && !record[key].empty())
      expect_only_written_keys(inner["items"], record[key][0], path + "/" + key + "/0");
  }
}

TEST(ResultSchema, ListsOnlyKeysThatTheWriterWrites) {
  const Json schema = Json::parse(result_schema());
  expect_only_written_keys(schema, plain(sample_train_record()), "");
  expect_only_written_keys(schema, plain(sample_bench_record()), "");
}

}  // namespace
}  // namespace lra::reports
