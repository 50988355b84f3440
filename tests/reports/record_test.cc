// The record's JSON form: complete, null where nothing applies, and read back as it was written.
#include "reports/record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/reports/sample_records.h"

namespace lra::reports {
namespace {

using OrderedJson = nlohmann::ordered_json;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

TEST(ResultRecord, SurvivesARoundTripThroughText) {
  for (const ResultRecord& record : {sample_train_record(), sample_bench_record(), ResultRecord{}}) {
    const std::string text = to_json(record).dump(2);
    EXPECT_EQ(to_json(record_from_json(OrderedJson::parse(text))).dump(2), text);
  }
}

TEST(ResultRecord, ReadsWhatItWrote) {
  const ResultRecord record = record_from_json(to_json(sample_train_record()));
  EXPECT_EQ(record.status, RunStatus::kConverged);
  EXPECT_EQ(record.task.shortcut_baselines.at("root_operator"), 0.365);
  EXPECT_EQ(record.attention.parameters.at("num_landmarks"), 128);
  EXPECT_EQ(record.accuracy.test_correct, 744);
  EXPECT_EQ(record.speed.train_step_ms->p90, 88.25);
  EXPECT_FALSE(record.speed.infer_step_ms.has_value());
  EXPECT_EQ(record.environment.isa_flags.size(), 3u);
  EXPECT_EQ(record.environment.kernel_isa, "avx512");
}

TEST(ResultRecord, ReadsTheBlocksOfABench) {
  const ResultRecord record = record_from_json(to_json(sample_bench_record()));
  EXPECT_EQ(record.speed.train_step_ms->median95, (std::array<double, 2>{82.5, 84.5}));
  EXPECT_EQ(record.memory.bandwidth_gb_per_s->after, 30.5);
  EXPECT_EQ(record.bound->products_ms, 52);
  EXPECT_FALSE(record.bound->draws_ms.has_value());
  EXPECT_EQ(record.noise->involuntary_switches, 3);
  ASSERT_EQ(record.profile->size(), 5U);
  EXPECT_EQ((*record.profile)[0].scope, "layers.*.ffn");
  EXPECT_EQ((*record.profile)[0].gflops, 110);
  EXPECT_FALSE((*record.profile)[1].gflops.has_value());
}

TEST(ResultRecord, WritesEveryKeyAndNullWhereNothingApplies) {
  const OrderedJson json = to_json(ResultRecord{});
  for (const char* pointer : {"/preset_sha256",
                              "/config_hash",
                              "/executed_length/mean",
                              "/accuracy/test",
                              "/accuracy/wilson95",
                              "/selection",
                              "/best_step",
                              "/loss/train",
                              "/speed/train_step_ms",
                              "/speed/phase_s",
                              "/mfu/samples",
                              "/memory/peak_rss_bytes",
                              "/wall_s",
                              "/bound",
                              "/noise",
                              "/profile",
                              "/speed/steady_state",
                              "/speed/start_up_s",
                              "/mfu/median95",
                              "/memory/bandwidth_gb_per_s",
                              "/denormals_flushed",
                              "/model/parameters_ratio_to_softmax"}) {
    ASSERT_TRUE(json.contains(OrderedJson::json_pointer(pointer))) << pointer;
    EXPECT_TRUE(json.at(OrderedJson::json_pointer(pointer)).is_null()) << pointer;
  }
}

TEST(ResultRecord, WritesNonFiniteNumbersAsNull) {
  ResultRecord record = sample_train_record();
  record.loss.train = std::nan("");
  record.speed.train_steps_per_s = std::numeric_limits<double>::infinity();
  record.speed.train_step_samples_ms = {1.0, -std::numeric_limits<double>::infinity()};
  record.task.shortcut_baselines["root_operator"] = std::nan("");
  const OrderedJson json = to_json(record);
  EXPECT_TRUE(json["loss"]["train"].is_null());
  EXPECT_TRUE(json["speed"]["train_steps_per_s"].is_null());
  EXPECT_TRUE(json["speed"]["train_step_samples_ms"][1].is_null());
  EXPECT_TRUE(json["task"]["shortcut_baselines"]["root_operator"].is_null());
}

TEST(ResultRecord, IgnoresUnknownKeysAndForgivesMissingOnes) {
  OrderedJson json = to_json(sample_train_record());
  json["invented_later"] = 1;
  json["speed"]["joules_per_step"] = 3;
  json.erase("memory");
  const ResultRecord record = record_from_json(json);
  EXPECT_FALSE(record.memory.peak_arena_bytes.has_value());
  EXPECT_EQ(record.seed, 3u);
}

TEST(ResultRecord, NamesTheKeyThatCannotBeRead) {
  const auto reading = [](const char* pointer, OrderedJson value) {
    OrderedJson json = to_json(sample_train_record());
    json[OrderedJson::json_pointer(pointer)] = std::move(value);
    return [json] { record_from_json(json); };
  };
  EXPECT_THAT(reading("/accuracy/test", "high"), ThrowsMessage<RecordError>(HasSubstr("[accuracy.test] is \"high\"")));
  EXPECT_THAT(reading("/status", "fine"), ThrowsMessage<RecordError>(HasSubstr("at_chance")));
  EXPECT_THAT(reading("/accuracy/wilson95", OrderedJson::array({1})),
              ThrowsMessage<RecordError>(HasSubstr("two numbers")));
  EXPECT_THAT(reading("/seed", -1), ThrowsMessage<RecordError>(HasSubstr("[seed]")));
  EXPECT_THAT(reading("/lanes", 2.5), ThrowsMessage<RecordError>(HasSubstr("an integer")));
  EXPECT_THAT(reading("/task", 7), ThrowsMessage<RecordError>(HasSubstr("[task] is 7, not an object")));
  EXPECT_THAT(reading("/profile", 7), ThrowsMessage<RecordError>(HasSubstr("[profile] is 7, not an array")));
  EXPECT_THAT(reading("/profile", OrderedJson::array({OrderedJson{{"calls", "many"}}})),
              ThrowsMessage<RecordError>(HasSubstr("[profile.calls]")));
  EXPECT_THAT(reading("/schema_version", 99), ThrowsMessage<RecordError>(HasSubstr("99")));
  EXPECT_THROW(record_from_json(OrderedJson::array()), RecordError);
}

TEST(RunStatus, HasANameForEachValueAndBack) {
  for (const RunStatus status : {RunStatus::kConverged, RunStatus::kAtChance, RunStatus::kDiverged,
                                 RunStatus::kInterrupted, RunStatus::kMeasured, RunStatus::kDoesNotFit}) {
    EXPECT_EQ(run_status_from_string(to_string(status)), status);
  }
  EXPECT_EQ(run_kind_from_string("bench"), RunKind::kBench);
}

}  // namespace
}  // namespace lra::reports
