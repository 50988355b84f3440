// `lra bench` as its users run it: warm-up, intervals, bound, bandwidth, profile and trace.
#include <sstream>

#include "tests/harness/program.h"
#include "tests/reports/schema_check.h"

namespace lra::testing {
namespace {

using Json = nlohmann::json;
using ::testing::HasSubstr;

class BenchTest : public ProgramTest {
 protected:
  /// The default limit keeps the arrays of the bandwidth measurement small.
  static Arguments bench(const std::string& memory_limit = "400M") {
    return {"bench", "--attention",  "cosformer", "--length",  "300", "--preset",       "tiny",      "--min-steps",
            "4",     "--min-time-s", "0",         "--threads", "2",   "--memory-limit", memory_limit};
  }
};

TEST_F(BenchTest, RecordSaysHowSureItIsAndWhatBoundsIt) {
  const Outcome outcome = run(bench() + Arguments{"--json", "-"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const Json record = outcome.json()["results"][0];
  EXPECT_EQ(violations_of_schema(record), "");
  const Json& times = record["speed"]["train_step_ms"];
  EXPECT_LE(times["median95"][0], times["p50"]);
  EXPECT_GE(times["median95"][1], times["p50"]);
  EXPECT_LE(record["mfu"]["median95"][0], record["mfu"]["train"]);
  EXPECT_GE(record["mfu"]["median95"][1], record["mfu"]["train"]);
  EXPECT_GE(record["mfu"]["peak_samples_gflops"].size(), 2U);
  EXPECT_TRUE(record["speed"]["steady_state"].is_boolean());
  EXPECT_GE(record["speed"]["warmup_steps_excluded"], 2);
  EXPECT_GT(record["memory"]["bandwidth_gb_per_s"]["before"], 0);
  EXPECT_GT(record["memory"]["bandwidth_gb_per_s"]["after"], 0);
  EXPECT_GT(record["bound"]["step_ms"], 0);
  EXPECT_NEAR(record["bound"]["share_reached"].get<double>(),
              record["bound"]["step_ms"].get<double>() / times["p50"].get<double>(), 1e-9);
  EXPECT_GE(record["noise"]["involuntary_switches"], 0);
  EXPECT_TRUE(record["profile"].is_null());
}

TEST_F(BenchTest, AFixedWarmUpIsKept) {
  const Json record = run(bench() + Arguments{"--warmup-steps", "3", "--json", "-"}).json()["results"][0];
  EXPECT_EQ(record["speed"]["warmup_steps_excluded"], 3);
  EXPECT_TRUE(record["speed"]["steady_state"].is_null());
}

TEST_F(BenchTest, WithoutAWarmUpEveryStepIsTimed) {
  const Outcome outcome = run(bench() + Arguments{"--warmup-steps", "0", "--json", "-"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const Json record = outcome.json()["results"][0];
  EXPECT_EQ(record["speed"]["warmup_steps_excluded"], 0);
  EXPECT_EQ(record["speed"]["train_step_samples_ms"].size(), 4U);
}

TEST_F(BenchTest, ProfileAddsUpToTheStepInRecordAndTable) {
  const Outcome outcome = run(bench() + Arguments{"--profile", "--json", "bench.json"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const Json record = json_of(path("bench.json"))["results"][0];
  EXPECT_EQ(violations_of_schema(record), "");
  double ns_per_token = 0;
  bool optimizer = false;
  for (const Json& row : record["profile"]) {
    ns_per_token += row["ns_per_token"].get<double>();
    optimizer = optimizer || row["phase"] == "optimizer";
  }
  const double tokens = record["speed"]["batch_size"].get<double>() * 300;
  EXPECT_NEAR(ns_per_token, record["speed"]["train_step_ms"]["p50"].get<double>() * 1e6 * 2 / tokens,
              1e-6 * ns_per_token);
  EXPECT_TRUE(optimizer);
  EXPECT_THAT(outcome.out, HasSubstr("cosformer, n = 300, train, 2 threads"));
  EXPECT_THAT(outcome.out, HasSubstr("linear_attention"));
  EXPECT_THAT(outcome.out, HasSubstr("between kernels"));
  std::istringstream lines(outcome.out);
  for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 110U) << line;
}

TEST_F(BenchTest, InferenceIsProfiledWithoutBackwardAndOptimizer) {
  const Outcome outcome = run(bench() + Arguments{"--mode", "infer", "--profile-by", "node", "--json", "-"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const Json record = outcome.json()["results"][0];
  EXPECT_EQ(violations_of_schema(record), "");
  ASSERT_TRUE(record["profile"].is_array());
  for (const Json& row : record["profile"]) EXPECT_TRUE(row["phase"] == "forward" || row["phase"] == "outside");
  EXPECT_THAT(record["profile"].dump(), HasSubstr("encoder.layers.0"));  // nodes keep their layer
}

TEST_F(BenchTest, TraceIsWrittenForEveryCell) {
  const Outcome outcome =
      run({"bench", "--attention", "softmax,linear", "--length", "64,100", "--preset", "tiny", "--min-steps", "1",
           "--min-time-s", "0", "--threads", "2", "--trace", "trace.json", "--memory-limit", "400M"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  std::vector<std::string> names;
  const Json trace = json_of(path("trace.json"));
  for (const Json& event : trace["traceEvents"])
    if (event["name"] == "process_name") names.push_back(event["args"]["name"]);
  EXPECT_THAT(names, ::testing::ElementsAre("softmax, n = 64, train", "linear, n = 64, train",
                                            "softmax, n = 100, train", "linear, n = 100, train"));
}

TEST_F(BenchTest, AMemoryLimitLeavesOutTheBandwidth) {
  const Outcome outcome = run(bench("8M") + Arguments{"--json", "-"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const Json record = outcome.json()["results"][0];
  EXPECT_EQ(violations_of_schema(record), "");
  EXPECT_EQ(record["status"], "measured");
  EXPECT_TRUE(record["memory"]["bandwidth_gb_per_s"]["before"].is_null());
}

TEST_F(BenchTest, WrongProfilesAndPlacesAreRefused) {
  refuses(bench() + Arguments{"--profile-by", "nodes"}, 2, {"--profile-by nodes", "did you mean `node`"});
  write_bytes(path("file"), "precious");
  refuses(bench() + Arguments{"--trace", "file/t.json"}, 5, {"file/t.json"});
}

TEST_F(BenchTest, TooManyThreadsAreWarnedOfAndNoted) {
  const std::string threads = std::to_string(std::thread::hardware_concurrency() + 1);
  const Outcome outcome = run({"bench", "--attention", "linear", "--length", "64", "--preset", "tiny", "--min-steps",
                               "1", "--min-time-s", "0", "--threads", threads, "--json", "-"});
  EXPECT_THAT(outcome.err, HasSubstr("warning: " + threads + " threads on"));
  EXPECT_THAT(outcome.json()["results"][0]["notes"].dump(), HasSubstr(threads + " threads on"));
}

}  // namespace
}  // namespace lra::testing
