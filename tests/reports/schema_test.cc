// Records against the published JSON Schema, judged by an independent validator.
#include <gtest/gtest.h>

#include <string>
#include <valijson/adapters/nlohmann_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validation_results.hpp>
#include <valijson/validator.hpp>
#include <vector>

#include "tests/reports/sample_records.h"

namespace lra::reports {
namespace {

using Json = nlohmann::json;

/// Empty when `record` is valid, else what is wrong with it.
std::string violations(const Json& record) {
  valijson::Schema schema;
  const Json schema_json = Json::parse(result_schema());
  valijson::SchemaParser(valijson::SchemaParser::kDraft7)
      .populateSchema(valijson::adapters::NlohmannJsonAdapter(schema_json), schema);
  valijson::ValidationResults results;
  valijson::Validator validator;
  validator.validate(schema, valijson::adapters::NlohmannJsonAdapter(record), &results);
  std::string text;
  for (valijson::ValidationResults::Error error; results.popError(error);) {
    for (const std::string& part : error.context) text += part;
    text.append(": ").append(error.description).append("\n");
  }
  return text;
}

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
    if (at.to_string() == "/attention/parameters" || at.to_string() == "/task/shortcut_baselines") continue;
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
TEST(ResultSchema, ListsOnlyKeysThatTheWriterWrites) {
  const Json schema = Json::parse(result_schema());
  const Json record = plain(sample_train_record());
  for (const auto& [key, rule] : schema["properties"].items()) {
    EXPECT_TRUE(record.contains(key)) << key;
    if (!rule.contains("properties")) continue;
    for (const auto& [inner, unused] : rule["properties"].items()) {
      EXPECT_TRUE(record[key].contains(inner)) << key << "." << inner;
    }
  }
}

}  // namespace
}  // namespace lra::reports
