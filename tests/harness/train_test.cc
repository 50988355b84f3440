// What a user gets from a run: record, report, progress, evaluation, lists and measurements.
#include "tests/harness/program.h"
#include "tests/reports/schema_check.h"

namespace lra::testing {
namespace {

using Json = nlohmann::json;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class TrainTest : public ProgramTest {
 protected:
  void SetUp() override { make_data(); }
  Arguments eval(const std::string& split) const {
    return {"eval", run_directory().string(), "--data", text("data"), "--split", split, "--json"};
  }
};

TEST_F(TrainTest, RecordKeepsTheSchemaAndSaysWhatRan) {
  const Outcome outcome = run(train({"--json", "--seed", "7"}));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const Json record = outcome.json();
  EXPECT_EQ(violations_of_schema(record), "");
  EXPECT_EQ(record, json_of(run_directory() / "result.json"));
  EXPECT_EQ(record["kind"], "train");
  EXPECT_EQ(record["task"]["train_examples"], 200);
  const Json manifest = json_of(std::filesystem::path(text("data")) / "listops/dataset.json");
  EXPECT_EQ(record["task"]["dataset_parameters"]["max_depth"], manifest["parameters"]["max_depth"]);
  EXPECT_EQ(record["task"]["dataset_parameters"]["seed"], manifest["seed"]);
  EXPECT_EQ(record["task"]["test_examples"], 50);
  EXPECT_EQ(record["accuracy"]["test_total"], 50);
  EXPECT_EQ(record["seed"], 7);
  EXPECT_EQ(record["preset"], "tiny");
  EXPECT_EQ(record["sequence_length"], 100);
  EXPECT_TRUE(record["task"]["shortcut_baselines"].contains("root_operator"));
  EXPECT_EQ(run_directory().filename(), "seed7");
}

TEST_F(TrainTest, StandardOutputCarriesTheReportAndStandardErrorTheProgress) {
  const Outcome outcome = run(train());
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("majority class"));
  EXPECT_THAT(outcome.out, Not(HasSubstr("steps in")));
  EXPECT_THAT(outcome.err, HasSubstr("6/6 steps"));
  EXPECT_THAT(outcome.err, Not(HasSubstr("\x1b")));  // no terminal, no colours
}

TEST_F(TrainTest, QuietSilencesEverythingButTheReport) {
  const Outcome before = run(Arguments{"--quiet"} + train());
  EXPECT_THAT(before.err, IsEmpty());
  EXPECT_THAT(before.out, HasSubstr("majority class"));
  const Outcome after = run(train({"--quiet", "--force", "--json"}));
  EXPECT_THAT(after.err, IsEmpty());
  EXPECT_EQ(after.exit_code, 0);
  EXPECT_EQ(violations_of_schema(after.json()), "");
}

TEST_F(TrainTest, EvaluationReproducesTheRecordExactly) {
  ASSERT_EQ(run(train()).exit_code, 0);
  const Json record = json_of(run_directory() / "result.json");
  const Json test = run(eval("test") + Arguments{"--threads", "1"}).json();
  EXPECT_EQ(test["accuracy"], record["accuracy"]["test"]);
  EXPECT_EQ(test["correct"], record["accuracy"]["test_correct"]);
  EXPECT_EQ(test["loss"], record["loss"]["test"]);
  EXPECT_EQ(test["wilson95"], record["accuracy"]["wilson95"]);
  EXPECT_EQ(test["majority_baseline"], record["task"]["majority_baseline"]);
  const Json validation = run(eval("validation")).json();
  EXPECT_EQ(validation["accuracy"], record["accuracy"]["validation"]);
  EXPECT_EQ(validation["loss"], record["loss"]["validation"]);
  EXPECT_TRUE(validation["majority_baseline"].is_null());  // the record's is that of the test split
}

TEST_F(TrainTest, EvaluationCountsEveryExampleOnce) {
  ASSERT_EQ(run(train()).exit_code, 0);
  for (const auto& [split, examples] : std::map<std::string, int>{{"train", 200}, {"validation", 40}, {"test", 50}})
    EXPECT_EQ(run(eval(split)).json()["total"], examples) << split;
}

TEST_F(TrainTest, ValidationAccuracyOfTheRecordIsTheBestOfTheLog) {
  ASSERT_EQ(run(train({"--set", "train.steps=12"})).exit_code, 0);
  const Json record = json_of(run_directory() / "result.json");
  std::ifstream log(run_directory() / "metrics.jsonl");
  double best = -1;
  int64_t best_step = 0;
  for (std::string line; std::getline(log, line);) {
    const Json event = Json::parse(line);
    if (event["split"] != "validation" || event["validation/accuracy"] <= best) continue;
    best = event["validation/accuracy"];
    best_step = event["step"];
  }
  EXPECT_EQ(record["accuracy"]["validation"], best);
  EXPECT_EQ(record["best_step"], best_step);
}

TEST_F(TrainTest, ResultsDoNotDependOnTheThreads) {
  const Json one = run({"train", "--task", "listops", "--attention", "cosformer", "--preset", "tiny", "--length", "100",
                        "--data", text("data"), "--out", text("one"), "--threads", "1", "--json"})
                       .json();
  const Json three = run({"train", "--task", "listops", "--attention", "cosformer", "--preset", "tiny", "--length",
                          "100", "--data", text("data"), "--out", text("three"), "--threads", "3", "--json"})
                         .json();
  EXPECT_EQ(without_timings(one), without_timings(three));
}

TEST_F(TrainTest, TheConfigurationOfARunIsRunnableAsItIs) {
  ASSERT_EQ(run(train()).exit_code, 0);
  const fs::path first = run_directory();
  const Outcome again =
      run({"train", "--config", (first / "config.json").string(), "--data", text("data"), "--out", text("again")});
  ASSERT_EQ(again.exit_code, 0) << again.err;
  const fs::path second = run_directory("again");
  EXPECT_EQ(second.lexically_relative(path("again")), first.lexically_relative(path("runs")));
  EXPECT_EQ(read_bytes(first / "config.json"), read_bytes(second / "config.json"));
  EXPECT_EQ(without_timings(json_of(first / "result.json")), without_timings(json_of(second / "result.json")));
}

TEST_F(TrainTest, EvaluationNeedsNoPresetFile) {
  write_bytes(path("mine.json"), R"({"citation": "a test", "config": {"model": {"d_model": 8, "d_ffn": 16}, "train":
      {"steps": 3, "batch_size": 4, "eval_every": 3}}})");
  const Outcome trained = run({"train", "--task", "listops", "--attention", "linear", "--preset", "./mine.json",
                               "--length", "100", "--data", text("data"), "--out", text("runs")});
  ASSERT_EQ(trained.exit_code, 0) << trained.err;
  fs::remove(path("mine.json"));
  const Outcome outcome = run(eval("test"));
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
}

TEST_F(TrainTest, NeverEvaluatingOrSavingMeansOnlyAtTheEnd) {
  const Outcome outcome = run(train({"--set", "train.eval_every=0", "--set", "train.checkpoint_every=0", "--json"}));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err << "signal " << outcome.signal;
  EXPECT_EQ(outcome.json()["best_step"], 6);
  EXPECT_TRUE(fs::exists(run_directory() / "checkpoint" / "last.safetensors"));
}

TEST_F(ProgramTest, EveryCommandExplainsItselfWithAnExample) {
  const Outcome whole = run({"--help"});
  EXPECT_EQ(whole.exit_code, 0);
  EXPECT_THAT(whole.out, HasSubstr("lra train --task listops"));
  for (const char* command : {"list", "data", "data generate", "data import", "data verify", "data info", "data export",
                              "train", "eval", "attend", "bench", "selftest"}) {
    Arguments arguments;
    std::istringstream words(command);
    for (std::string word; words >> word;) arguments.push_back(word);
    const Outcome outcome = run(arguments + Arguments{"--help"});
    EXPECT_EQ(outcome.exit_code, 0) << command;
    EXPECT_THAT(outcome.out, HasSubstr("Example:\n  lra " + arguments[0])) << command;
    EXPECT_THAT(outcome.err, IsEmpty()) << command;
  }
}

TEST_F(ProgramTest, ListsAreJson) {
  for (const char* what : {"tasks", "attention", "presets"}) {
    const Json list = run({"list", what, "--json"}).json();
    ASSERT_TRUE(list.is_array() && !list.empty()) << what;
    for (const Json& entry : list) {
      EXPECT_FALSE(entry["name"].get<std::string>().empty());
      EXPECT_FALSE(entry["citation"].get<std::string>().empty()) << entry["name"];
      EXPECT_THAT(run({"list", what}).out, HasSubstr(entry["name"].get<std::string>()));
    }
  }
  EXPECT_TRUE(run({"--version", "--json"}).json().contains("lra_version"));
}

TEST_F(ProgramTest, BenchWritesRecordsThatKeepTheSchema) {
  const Arguments bench = {
      "bench",       "--attention", "softmax,cosformer", "--length", "64,100",    "--preset", "tiny",
      "--min-steps", "2",           "--min-time-s",      "0",        "--threads", "2"};
  const Outcome outcome = run(bench + Arguments{"--json", "bench.json"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("cosformer"));
  const Json results = json_of(path("bench.json"))["results"];
  ASSERT_EQ(results.size(), 4U);
  for (const Json& record : results) {
    EXPECT_EQ(violations_of_schema(record), "");
    EXPECT_EQ(record["status"], "measured");
    EXPECT_EQ(record["executed_length"]["mean"], record["sequence_length"]);  // nothing is skipped
    EXPECT_GT(record["speed"]["train_steps_per_s"], 0);
    EXPECT_GT(record["mfu"]["train"], 0);
    EXPECT_EQ(record["mfu"]["samples"].size(), 2U);
    EXPECT_EQ(record["memory"]["forecast_arena_bytes"], record["memory"]["peak_arena_bytes"]);
  }
}

TEST_F(ProgramTest, BenchChecksEveryLengthBeforeItMeasures) {
  const Outcome outcome = run({"bench", "--attention", "linear,soft", "--length", "128,1000", "--preset", "small",
                               "--set", "model.nominal_rounding=none"});
  expect_refused(outcome, 2, {"[soft] attention.num_landmarks = 64", "n = 1000", "from 1 to 1000"});
  EXPECT_EQ(count_of(outcome.err, "measuring"), 0U);
}

TEST_F(ProgramTest, AnInterruptedBenchKeepsWhatItHas) {
  Program program({"bench", "--attention", "softmax", "--length", "64,100", "--preset", "tiny", "--min-time-s", "1000",
                   "--json", "bench.json"},
                  setting());
  ASSERT_TRUE(program.wait_until([&] { return count_of(program.err_so_far(), "measuring n = 64") > 0; }));
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  const Outcome outcome = program.finish(SIGINT);
  EXPECT_EQ(outcome.exit_code, 130) << outcome.err;
  const Json results = json_of(path("bench.json"))["results"];
  ASSERT_EQ(results.size(), 1U);
  EXPECT_EQ(violations_of_schema(results[0]), "");
  EXPECT_EQ(results[0]["status"], "interrupted");
}

TEST_F(ProgramTest, BenchOfInferenceAndOfWhatDoesNotFitKeepTheSchemaToo) {
  const Arguments bench = {"bench",       "--attention", "linear",       "--length", "64",     "--preset", "tiny",
                           "--min-steps", "1",           "--min-time-s", "0",        "--json", "-"};
  const Json inferred = run(bench + Arguments{"--mode", "infer"}).json()["results"][0];
  EXPECT_EQ(violations_of_schema(inferred), "");
  EXPECT_GT(inferred["speed"]["infer_steps_per_s"], 0);
  EXPECT_TRUE(inferred["speed"]["train_steps_per_s"].is_null());
  const Json refused = run(bench + Arguments{"--memory-limit", "10K"}).json()["results"][0];
  EXPECT_EQ(violations_of_schema(refused), "");
  EXPECT_EQ(refused["status"], "does_not_fit");
  EXPECT_THAT(refused["notes"].dump(), HasSubstr("10.0 KiB"));
}

}  // namespace
}  // namespace lra::testing
