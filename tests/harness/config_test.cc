// The configuration's list of fields: parsing, ranges, messages, JSON and the hash.
#include "harness/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <set>

#include "engine/errors.h"

namespace lra::harness {
namespace {

using Json = nlohmann::json;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;
using ::testing::ThrowsMessage;

TrainConfig valid_config() {
  TrainConfig config;
  config.preset = "small";
  config.sequence_length = 2000;
  config.task.name = "listops";
  config.task.split_policy = SplitPolicy::kPaper;
  config.attention.name = "softmax";
  derive(config);
  return config;
}

std::function<void()> assigning(const std::string& assignment) {
  return [assignment] {
    TrainConfig config;
    set_assignment(config, assignment);
  };
}

std::string hint_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const UsageError& error) {
    return error.hint();
  }
  return "nothing was thrown";
}

TEST(ConfigFields, HaveUniqueKeysAndHelp) {
  std::set<std::string> keys;
  for (const ConfigField& field : config_fields()) {
    EXPECT_TRUE(keys.insert(field.key).second) << field.key;
    EXPECT_FALSE(field.help.empty()) << field.key;
    EXPECT_THAT(config_help(), HasSubstr(field.key + " = "));
  }
}

TEST(ConfigFields, HaveDefaultsWithinTheirOwnRanges) {
  for (const ConfigField& field : config_fields()) {
    if (field.key == "sequence_length") continue;  // has no default
    TrainConfig config;
    EXPECT_NO_THROW(field.set(config, field.get(TrainConfig{}))) << field.key;
    EXPECT_EQ(field.get(config), field.get(TrainConfig{})) << field.key;
  }
}

TEST(SetAssignment, ReadsEachKindOfValue) {
  TrainConfig config;
  set_assignment(config, "train.steps=5e3");
  set_assignment(config, "train.batch_size=16");
  set_assignment(config, "train.learning_rate=1e-3");
  set_assignment(config, "model.gelu=tanh");
  set_assignment(config, "model.pooling=mean_nominal");
  set_assignment(config, "model.projection_bias=false");
  set_assignment(config, "attention.causal=true");
  EXPECT_EQ(config.train.steps, 5000);
  EXPECT_EQ(config.train.batch_size, 16);
  EXPECT_EQ(config.train.learning_rate, 1e-3);
  EXPECT_EQ(config.model.gelu, Gelu::kTanh);
  EXPECT_EQ(config.model.pooling, Pooling::kMeanNominal);
  EXPECT_FALSE(config.model.projection_bias);
  EXPECT_TRUE(config.attention.causal);
}

TEST(SetAssignment, KeepsTheTypesOfMechanismParameters) {
  TrainConfig config;
  set_assignment(config, "attention.num_landmarks=128");
  set_assignment(config, "attention.epsilon=1e-6");
  set_assignment(config, "attention.share=true");
  set_assignment(config, "attention.kernel=relu");
  set_assignment(config, "attention.windows=[8,16]");
  EXPECT_TRUE(config.attention.parameters.at("num_landmarks").is_number_integer());
  EXPECT_EQ(config.attention.parameters.at("epsilon"), 1e-6);
  EXPECT_EQ(config.attention.parameters.at("share"), true);
  EXPECT_EQ(config.attention.parameters.at("kernel"), "relu");
  EXPECT_EQ(config.attention.parameters.at("windows"), Json::array({8, 16}));
}

TEST(SetAssignment, RefusesAbsurdValuesByNameValueAndRange) {
  EXPECT_THAT(assigning("train.batch_size=0"),
              ThrowsMessage<UsageError>(HasSubstr("[train.batch_size] 0 is below the minimum 1")));
  EXPECT_THAT(assigning("model.dropout=1.5"), ThrowsMessage<UsageError>(HasSubstr("above the maximum 0.99")));
  EXPECT_THAT(assigning("train.learning_rate=nan"), ThrowsMessage<UsageError>(HasSubstr("nan is not a finite number")));
  EXPECT_THAT(assigning("train.learning_rate=-inf"), ThrowsMessage<UsageError>(HasSubstr("not a finite number")));
  EXPECT_THAT(assigning("train.steps=12.5"), ThrowsMessage<UsageError>(HasSubstr("12.5 is not a whole number")));
  EXPECT_THAT(assigning("train.steps=many"), ThrowsMessage<UsageError>(HasSubstr("many is not a number")));
  EXPECT_THAT(assigning("train.steps=10x"), ThrowsMessage<UsageError>(HasSubstr("10x is not a number")));
  EXPECT_THAT(assigning("train.steps=99999999999999999999"), ThrowsMessage<UsageError>(HasSubstr("[train.steps]")));
  EXPECT_THAT(assigning("seed=-1"), ThrowsMessage<UsageError>(HasSubstr("[seed] -1 is below")));
  EXPECT_THAT(assigning("model.projection_bias=yes"), ThrowsMessage<UsageError>(HasSubstr("neither true nor false")));
  EXPECT_THAT(assigning("attention.scale=nan"), ThrowsMessage<UsageError>(HasSubstr("nan is not a value")));
  EXPECT_THAT(assigning("model.gelu=tanhh"), ThrowsMessage<UsageError>(HasSubstr("[model.gelu] tanhh")));
  EXPECT_THAT(hint_of(assigning("model.gelu=tanhh")), HasSubstr("did you mean `tanh`"));
}

TEST(SetAssignment, RefusesUnknownKeysWithNearMatches) {
  EXPECT_THAT(assigning("train.batchsize=8"), ThrowsMessage<UsageError>(HasSubstr("[train.batchsize] is not a")));
  EXPECT_THAT(hint_of(assigning("train.batchsize=8")), HasSubstr("did you mean `train.batch_size`"));
  EXPECT_THAT(hint_of(assigning("task.encoding=bytes")),
              HasSubstr("lra data import (or generate) TASK --set task.encoding"));
  EXPECT_THAT(assigning("attention.a.b=1"), ThrowsMessage<UsageError>(HasSubstr("[attention.a.b]")));
  EXPECT_THAT(assigning("attention.=1"), ThrowsMessage<UsageError>(HasSubstr("[attention.]")));
  EXPECT_THAT(assigning("no equals sign"), ThrowsMessage<UsageError>(HasSubstr("key=value")));
  EXPECT_THAT(assigning("train.steps="), ThrowsMessage<UsageError>(HasSubstr("has no value")));
}

TEST(SetAssignment, LeavesToFlagsWhatFlagsDecide) {
  EXPECT_THAT(assigning("task.name=text"), ThrowsMessage<UsageError>(HasSubstr("--task")));
  EXPECT_THAT(assigning("attention.name=softmax"), ThrowsMessage<UsageError>(HasSubstr("--attention")));
  EXPECT_THAT(assigning("preset=paper"), ThrowsMessage<UsageError>(HasSubstr("--preset")));
}

TEST(SetObject, TakesDottedAndNestedKeysAlike) {
  TrainConfig config;
  set_object(config, Json::parse(R"({"train.steps": 7, "train": {"batch_size": 4}, "attention": {"rank": 32}})"), "f");
  EXPECT_EQ(config.train.steps, 7);
  EXPECT_EQ(config.train.batch_size, 4);
  EXPECT_EQ(config.attention.parameters.at("rank"), 32);
}

TEST(SetObject, NamesTheFileAndTheKeyOfAMistake) {
  const auto reading = [](const char* text) {
    return [text] {
      TrainConfig config;
      set_object(config, Json::parse(text), "mine.json");
    };
  };
  EXPECT_THAT(reading(R"({"train": {"stepz": 7}})"),
              ThrowsMessage<UsageError>(AllOf(HasSubstr("mine.json"), HasSubstr("[train.stepz]"))));
  EXPECT_THAT(reading(R"({"train.steps": 7, "train": {"steps": 8}})"), ThrowsMessage<UsageError>(HasSubstr("twice")));
  EXPECT_THAT(reading(R"({"train": 3})"), ThrowsMessage<UsageError>(HasSubstr("[train]")));
  EXPECT_THAT(reading(R"({"train": {"steps": "7"}})"), ThrowsMessage<UsageError>(HasSubstr("is not a number")));
  EXPECT_THAT(reading(R"({"attention": {"rank": null}})"), ThrowsMessage<UsageError>(HasSubstr("[attention.rank]")));
  EXPECT_THAT(reading("[1]"), ThrowsMessage<UsageError>(HasSubstr("not a JSON object")));
}

TEST(Derive, FillsInTheDerivedSizes) {
  TrainConfig config;
  config.sequence_length = 2000;
  config.model.d_model = 96;
  config.model.heads = 4;
  config.model.d_ffn = 200;
  config.model.nominal_rounding = NominalRounding::kPowerOfTwo;
  derive(config);
  EXPECT_EQ(config.model.d_head, 24);
  EXPECT_EQ(config.model.d_classifier, 200);
  EXPECT_EQ(config.model.nominal_length, 2048);
  for (const auto& [length, nominal] : {std::pair<int64_t, int64_t>{2000, 2047}, {2047, 2047}, {2048, 4095}}) {
    config.model.pooling = Pooling::kCls;  // the token counts
    config.sequence_length = length;
    config.model.nominal_length = 0;
    derive(config);
    EXPECT_EQ(config.model.nominal_length, nominal);
  }
  config.model.d_head = 0;
  config.model.heads = 7;
  EXPECT_THAT([&] { derive(config); }, ThrowsMessage<UsageError>(HasSubstr("96 is not divisible by model.heads = 7")));
}

TEST(Validate, ChecksWhatSingleRangesCannot) {
  EXPECT_NO_THROW(validate(valid_config()));
  const auto changed = [](const std::function<void(TrainConfig&)>& change) {
    return [change] {
      TrainConfig config = valid_config();
      change(config);
      validate(config);
    };
  };
  EXPECT_THAT(changed([](TrainConfig& c) { c.model.nominal_length = 1024; }),
              ThrowsMessage<UsageError>(HasSubstr("1024 is below sequence_length 2000")));
  EXPECT_THAT(changed([](TrainConfig& c) { c.sequence_length = 0; }), ThrowsMessage<UsageError>(HasSubstr("preset")));
  EXPECT_THAT(changed([](TrainConfig& c) { c.task.name.clear(); }), ThrowsMessage<UsageError>(HasSubstr("no task")));
  EXPECT_THAT(changed([](TrainConfig& c) {
                c.model.positions = Positions::kSinusoidal;
                c.model.d_model = 33;
              }),
              ThrowsMessage<UsageError>(HasSubstr("33 is odd")));
}

TEST(Remarks, NameARunThatEndsInsideItsWarmUp) {
  TrainConfig config = valid_config();
  EXPECT_THAT(remarks(config), IsEmpty());
  config.train.schedule = Schedule::kOnecycleLinear;
  config.train.warmup_steps = config.train.steps;
  EXPECT_THAT(remarks(config), ElementsAre(HasSubstr("ends inside its warm-up")));
}

TEST(ToJson, IsRunnableAsItIs) {
  TrainConfig config = valid_config();
  config.seed = 9;
  config.train.schedule = Schedule::kCosine;
  config.attention.parameters["num_landmarks"] = 64;
  const std::string text = to_json(config).dump(2);
  TrainConfig again;
  set_object(again, Json::parse(text), "config.json");
  EXPECT_EQ(to_json(again).dump(2), text);
  EXPECT_EQ(config_hash(again, "d"), config_hash(config, "d"));
}

TEST(ConfigHash, IsTwelveHexadecimalDigitsThatNeverMove) {
  EXPECT_THAT(config_hash(valid_config(), std::string(64, '0')), MatchesRegex("[0-9a-f]{12}"));
  // A change here renames every run directory: change it only with the meaning of a key.
  EXPECT_EQ(config_hash(valid_config(), std::string(64, '0')), "a6ef209a9304");
}

TEST(ConfigHash, IgnoresWhatCannotChangeTheNumbersAndNothingElse) {
  const std::string before = config_hash(valid_config(), "d");
  for (const ConfigField& field : config_fields()) {
    TrainConfig config = valid_config();
    const Json value = field.get(config);
    if (field.kind == "boolean") {
      field.set(config, !value.get<bool>());
    } else if (field.kind == "text") {
      field.set(config, value.get<std::string>() + "x");
    } else if (field.kind == "choice") {
      field.set(config, value == field.choices[0] ? field.choices[1] : field.choices[0]);
    } else {
      field.set(config, value == field.maximum ? field.minimum : field.maximum);
    }
    EXPECT_EQ(config_hash(config, "d") != before, field.hashed) << field.key;
  }
  const std::set<std::string> excluded = {"preset", "seed", "train.checkpoint_every", "train.log_every",
                                          "train.init_from",
                                          // a finished run of another build is refused, see PluginTest
                                          "attention.plugin", "attention.plugin_sha256"};
  for (const ConfigField& field : config_fields()) EXPECT_EQ(field.hashed, !excluded.contains(field.key)) << field.key;
}

TEST(ConfigHash, CoversMechanismParametersAndTheDataset) {
  TrainConfig config = valid_config();
  const std::string before = config_hash(config, "d");
  EXPECT_NE(config_hash(config, "e"), before);
  config.attention.parameters["num_landmarks"] = 64;
  EXPECT_NE(config_hash(config, "d"), before);
}

}  // namespace
}  // namespace lra::harness
