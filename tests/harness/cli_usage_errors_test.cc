// Wrong names, flags and values: exit 2, one message, and nothing is written.
#include "tests/harness/program.h"

namespace lra::testing {
namespace {

class UsageErrorsTest : public ProgramTest {
 protected:
  void SetUp() override { make_data(); }
  void TearDown() override { EXPECT_FALSE(fs::exists(path("runs"))) << "a refused run left something behind"; }
};

TEST_F(UsageErrorsTest, UnknownNamesListNearMatches) {
  const auto train_with = [&](const std::string& task, const std::string& attention, const std::string& preset) {
    return Arguments{"train", "--task", task,         "--attention", attention,   "--preset",
                     preset,  "--data", text("data"), "--out",       text("runs")};
  };
  refuses(train_with("lisops", "softmax", "tiny"), 2, {"lisops", "did you mean `listops`"});
  refuses(train_with("listops", "cosforner", "tiny"), 2, {"cosforner", "did you mean `cosformer`", "linear"});
  refuses(train_with("listops", "softmax", "tinny"), 2, {"tinny", "did you mean `tiny`", "paper"});
  refuses(train({"--set", "train.stepz=3"}), 2, {"train.stepz", "did you mean `train.steps`"});
  refuses(train({"--set", "attention.epsilonn=3"}), 2, {"attention.epsilonn"});
  refuses({"bench", "--attention", "softmax,cosformr", "--length", "64"}, 2, {"did you mean `cosformer`"});
  refuses({"selftest", "--attention", "sofmax"}, 2, {"did you mean `softmax`"});
  refuses({"data", "info", "lisops", "--data", text("data")}, 2, {"did you mean `listops`"});
  refuses({"list", "attentions"}, 2, {"did you mean `attention`"});
}

TEST_F(UsageErrorsTest, UnknownCommandsAndFlags) {
  refuses({"trai"}, 2, {"trai", "did you mean `train`"});
  refuses({"train", "--tsak", "listops"}, 2, {"--tsak"});
  refuses({"train", "--task"}, 2, {"--task"});
  refuses({"data", "make", "listops"}, 2, {});
  refuses({"attend", "--attention", "softmax"}, 2, {"--out"});
  refuses({"eval"}, 2, {"RUN"});
  refuses(train({"--resume", "--force"}), 2, {"--resume", "--force"});
  refuses({"train", "--attention", "softmax", "--data", text("data")}, 2, {"no task"});
  refuses({"train", "--task", "listops", "--data", text("data")}, 2, {"no mechanism"});
}

TEST_F(UsageErrorsTest, AbsurdSizes) {
  const Arguments model = {"train", "--task", "listops",    "--attention", "softmax",   "--preset",
                           "tiny",  "--data", text("data"), "--out",       text("runs")};
  refuses(model + Arguments{"--length", "0"}, 2, {"--length", "0"});
  refuses(model + Arguments{"--length", "-5"}, 2, {"--length", "-5"});
  refuses(model + Arguments{"--length", "long"}, 2, {"--length", "long"});
  refuses(model + Arguments{"--length", "99999999999"}, 2, {"99999999999", "16777216"});
  refuses(train({"--set", "model.heads=3"}), 2, {"model.d_model", "16", "model.heads = 3"});
  refuses(train({"--set", "model.vocab_rows=5"}), 2, {"model.vocab_rows", "17"});
  refuses(train({"--set", "train.batch_size=0"}), 2, {"train.batch_size", "minimum 1"});
  refuses(train({"--set", "train.lanes=100000"}), 2, {"train.lanes", "1024"});
  refuses(train({"--set", "train.steps=1.5"}), 2, {"train.steps", "whole number"});
  refuses(train({"--seed", "-1"}), 2, {"--seed", "-1"});
  for (const char* threads : {"-1", "100000"})
    refuses({"bench", "--attention", "softmax", "--length", "64", "--threads", threads}, 2, {"--threads", threads});
}

TEST_F(UsageErrorsTest, AbsurdRates) {
  refuses(train({"--set", "train.learning_rate=-1"}), 2, {"train.learning_rate", "-1", "minimum 0"});
  refuses(train({"--set", "train.learning_rate=nan"}), 2, {"train.learning_rate", "nan", "finite"});
  refuses(train({"--set", "train.learning_rate=1e30"}), 2, {"train.learning_rate", "1e+30"});
  refuses(train({"--set", "model.dropout=-0.1"}), 2, {"model.dropout", "-0.1"});
  refuses(train({"--set", "model.dropout=inf"}), 2, {"model.dropout", "inf"});
  refuses(train({"--set", "attention.scale=nan"}), 2, {"attention.scale", "nan"});
  refuses(train({"--set", "train.learning_rate"}), 2, {"key=value"});
}

TEST_F(UsageErrorsTest, AbsurdMeasurements) {
  const Arguments bench = {"bench", "--attention", "softmax", "--preset", "tiny"};
  refuses(bench + Arguments{"--length", "0"}, 2, {"--length", "0"});
  refuses(bench + Arguments{"--length", "64,-1"}, 2, {"--length", "-1"});
  refuses(bench + Arguments{"--length", "64", "--batch", "0"}, 2, {"train.batch_size", "0 is below"});
  refuses(bench + Arguments{"--length", "64", "--batch", "-3"}, 2, {"train.batch_size", "-3"});
  refuses(bench + Arguments{"--length", "64", "--dropout", "-0.5"}, 2, {"model.dropout", "-0.5"});
  refuses(bench + Arguments{"--length", "64", "--dropout", "nan"}, 2, {"model.dropout", "nan"});
  refuses(bench + Arguments{"--length", "64", "--min-time-s", "nan"}, 2, {"--min-time-s"});
  refuses(bench + Arguments{"--length", "64", "--mode", "trin"}, 2, {"--mode", "did you mean `train`"});
  refuses(bench + Arguments{"--length", "64", "--memory-limit", "much"}, 2, {"much", "512M"});
  refuses(bench + Arguments{"--length", "64", "--memory-limit", "-1G"}, 2, {"-1G"});
}

TEST_F(UsageErrorsTest, AbsurdDatasets) {
  const Arguments generate = {"data", "generate", "listops", "--data", text("new")};
  refuses(generate + Arguments{"--train", "-1"}, 2, {"--train", "-1"});
  refuses(generate + Arguments{"--train", "0", "--validation", "0", "--test", "0"}, 2, {"empty"});
  refuses(generate + Arguments{"--threads", "-1"}, 2, {"--threads", "-1"});
  refuses(generate + Arguments{"--seed", "-1"}, 2, {"--seed", "-1"});
  refuses(generate + Arguments{"--set", "task.max_lenght=50"}, 2, {"`task.max_length`"});
  refuses(generate + Arguments{"--set", "task.max_length=0"}, 2, {"task.max_length"});
  EXPECT_FALSE(fs::exists(path("new")));
}

TEST_F(UsageErrorsTest, ADatasetThatIsThereIsKept) {
  const auto before = contents_of(path("data"));
  refuses({"data", "generate", "listops", "--data", text("data"), "--train", "10"}, 2, {"already", "--force"});
  EXPECT_EQ(contents_of(path("data")), before);
}

TEST_F(UsageErrorsTest, ConfigurationFilesNameThePlaceOfAMistake) {
  const auto with = [&](const std::string& content) {
    write_bytes(path("mine.json"), content);
    return train({"--config", text("mine.json")});
  };
  refuses(with(R"({"train": {"stepz": 3}})"), 2, {"mine.json", "train.stepz"});
  refuses(with(R"({"train": {"steps": 3)"), 2, {"mine.json", "not valid JSON"});
  refuses(with(R"({"train": {"steps": 3, "steps": 4}})"), 2, {"mine.json", "twice"});
  refuses(with("[]"), 2, {"mine.json"});
  refuses(train({"--config", text("absent.json")}), 3, {"absent.json"});
}

}  // namespace
}  // namespace lra::testing
