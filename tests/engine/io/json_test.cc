#include "engine/io/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lra::io {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::json;

std::string nested(int depth, const std::string& open, const std::string& close) {
  std::string text;
  for (int i = 0; i < depth; ++i) text += open;
  text += "1";
  for (int i = 0; i < depth; ++i) text += close;
  return text;
}

/// The message of the library's exception that `work` must throw.
template <class Work>
std::string refusal_of(Work work) {
  try {
    work();
  } catch (const Json::exception& error) {
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

TEST(JsonTest, NestingIsReadToTheLimitAndRefusedBeyond) {
  for (const auto& [open, close] : {std::pair{"[", "]"}, std::pair{"{\"a\":", "}"}}) {
    const std::string deepest = nested(kMaxJsonDepth, open, close);
    EXPECT_EQ(parse_json<Json>(deepest).dump(), deepest);
    for (const int depth : {kMaxJsonDepth + 1, 1'000'000}) {
      const std::string deeper = nested(depth, open, close);
      EXPECT_THAT(refusal_of([&] { parse_json<Json>(deeper); }), HasSubstr("64 deep"));
      EXPECT_THAT(refusal_of([&] { parse_json<nlohmann::ordered_json>(deeper); }), HasSubstr("64 deep"));
    }
  }
}

TEST(JsonTest, WideTextIsNotDeep) {
  std::string text = "[[]";
  for (int i = 0; i < 10 * kMaxJsonDepth; ++i) text += ",[{}]";
  EXPECT_EQ(parse_json<Json>(text + "]").size(), 10U * kMaxJsonDepth + 1);
}

TEST(JsonTest, WhatIsWatchedCanBeRefused) {
  const auto watch = [](int, Json::parse_event_t event, Json& value) {
    if (event == Json::parse_event_t::key && value == "b") throw std::invalid_argument("b");
    return true;
  };
  EXPECT_EQ(parse_json<Json>(R"({"a": 1})", watch)["a"], 1);
  EXPECT_THROW(parse_json<Json>(R"({"a": {"b": 1}})", watch), std::invalid_argument);
}

TEST(JsonTest, WholeNumbersThatFitAreTaken) {
  const Json json = {{"least", INT64_MIN}, {"most", UINT64_MAX}, {"byte", 255}};
  EXPECT_EQ(integer_at<int64_t>(json, "least"), INT64_MIN);
  EXPECT_EQ(integer_at<uint64_t>(json, "most"), UINT64_MAX);
  EXPECT_EQ(integer_at<int>(json, "byte"), 255);
}

TEST(JsonTest, OthersAreNeitherCutNorRounded) {
  const Json json = Json::parse(
      R"({"int": 4294967298, "unsigned": -1, "signed": 9223372036854775808, "fraction": 1.5, "whole": 1.0,
          "huge": 1e300, "text": "1", "true": true, "null": null})");
  EXPECT_THAT(refusal_of([&] { integer_at<int>(json, "int"); }), HasSubstr("`int` is not a whole number in range"));
  EXPECT_THAT(refusal_of([&] { integer_at<uint64_t>(json, "unsigned"); }), HasSubstr("`unsigned`"));
  for (const char* key : {"signed", "fraction", "whole", "huge", "text", "true", "null", "absent"})
    EXPECT_THAT(refusal_of([&] { integer_at<int64_t>(json, key); }), HasSubstr(key));
}

}  // namespace
}  // namespace lra::io
