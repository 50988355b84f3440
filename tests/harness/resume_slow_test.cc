// Killed, interrupted and resumed runs end as undisturbed ones do, bit for bit.
#include <algorithm>
#include <random>
#include <set>

#include "engine/io/safetensors.h"
#include "harness/run_directory.h"
#include "tests/harness/program.h"

namespace lra::testing {
namespace {

using Json = nlohmann::json;

std::vector<std::string> lines_of(const fs::path& file) {
  std::ifstream stream(file);
  std::vector<std::string> lines;
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

std::vector<std::string> events_of(const fs::path& run) {
  std::vector<std::string> events = lines_of(run / "metrics.jsonl");
  for (std::string& event : events) event = harness::without_timestamp(event);
  return events;
}

/// Tensors byte for byte, and the state but for the seconds it took.
void expect_equal_checkpoints(const fs::path& one, const fs::path& other) {
  for (const char* name : {"last.safetensors", "best.safetensors"}) {
    const io::SafetensorsFile a(one / "checkpoint" / name), b(other / "checkpoint" / name);
    ASSERT_EQ(a.tensors().size(), b.tensors().size()) << name;
    for (const io::SafetensorsTensor& tensor : a.tensors())
      EXPECT_TRUE(std::ranges::equal(tensor.data, b.at(tensor.name).data)) << name << ": " << tensor.name;
    auto state_a = a.metadata(), state_b = b.metadata();
    for (auto* metadata : {&state_a, &state_b}) {
      if (!metadata->contains("state")) continue;
      Json state = Json::parse(metadata->at("state"));
      state.erase("wall_s");
      (*metadata)["state"] = state.dump();
      metadata->erase("sha256");  // of the seconds, too
    }
    EXPECT_EQ(state_a, state_b) << name;
  }
}

void expect_equal_runs(const fs::path& one, const fs::path& other) {
  EXPECT_EQ(without_timings(json_of(one / "result.json")), without_timings(json_of(other / "result.json")));
  EXPECT_EQ(events_of(one), events_of(other));
  EXPECT_EQ(read_bytes(one / "config.json"), read_bytes(other / "config.json"));
  expect_equal_checkpoints(one, other);
  for (const auto& entry : fs::recursive_directory_iterator(other))
    EXPECT_TRUE(fs::exists(one / entry.path().lexically_relative(other))) << "left over: " << entry.path();
}

/// 300 steps, evaluated every 20 and saved every 7, into `out`.
class ResumeTest : public ProgramTest, public ::testing::WithParamInterface<const char*> {
 protected:
  void SetUp() override {
    make_data();
    const Outcome outcome = run(training("undisturbed", "2"));
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  }

  Arguments training(const std::string& out, const std::string& threads, const Arguments& more = {}) const {
    return Arguments{"train",
                     "--task",
                     "listops",
                     "--attention",
                     GetParam(),
                     "--preset",
                     "tiny",
                     "--length",
                     "100",
                     "--data",
                     text("data"),
                     "--out",
                     text(out),
                     "--threads",
                     threads,
                     "--set",
                     "train.steps=300",
                     "--set",
                     "train.eval_every=20",
                     "--set",
                     "train.checkpoint_every=7",
                     "--set",
                     "train.log_every=5"} +
           more;
  }
};

TEST_P(ResumeTest, GoesOnBitForBitAfterKill) {
  std::mt19937 random(20240229);
  int kills = 0;
  for (int attempt = 0; attempt < 60; ++attempt) {
    Program program(training("killed", "2", {"--resume"}), setting());
    // Later attempts live longer, so that a slow machine comes to the end too.
    const std::chrono::milliseconds life(std::uniform_int_distribution<int>(5, 250 + 30 * attempt)(random));
    const auto end = std::chrono::steady_clock::now() + life;
    program.wait_until([&] { return std::chrono::steady_clock::now() > end; });
    const Outcome outcome = program.finish(SIGKILL);
    if (outcome.signal == 0) {
      ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
      break;
    }
    EXPECT_EQ(outcome.signal, SIGKILL);
    ++kills;
  }
  EXPECT_GE(kills, 3);
  expect_equal_runs(run_directory("undisturbed"), run_directory("killed"));
}

TEST_P(ResumeTest, LogsEveryStepOnceAndInOrder) {
  for (const size_t lines : {3U, 30U, 55U}) {
    const Outcome outcome = interrupted_after(lines, SIGKILL, training("killed", "2", {"--resume"}), "killed");
    EXPECT_EQ(outcome.signal, SIGKILL);
  }
  ASSERT_EQ(run(training("killed", "2", {"--resume"})).exit_code, 0);
  std::map<std::string, std::vector<int64_t>> steps;
  for (const std::string& event : events_of(run_directory("killed"))) {
    const Json json = Json::parse(event);
    steps[json["split"]].push_back(json["step"]);
  }
  ASSERT_EQ(steps["train"].size(), 60U);
  for (size_t i = 0; i < 60; ++i) EXPECT_EQ(steps["train"][i], static_cast<int64_t>(5 * (i + 1)));
  ASSERT_EQ(steps["validation"].size(), 15U);
  EXPECT_TRUE(std::ranges::is_sorted(steps["validation"]));
}

TEST_P(ResumeTest, SignalsEndAfterACheckpointAndOtherThreadsGoOn) {
  size_t lines = 10;
  for (const auto& [signal_number, exit_code] : {std::pair{SIGINT, 130}, std::pair{SIGTERM, 143}}) {
    const Outcome outcome =
        interrupted_after(lines, signal_number, training("signalled", "1", {"--resume"}), "signalled");
    lines += 25;
    EXPECT_EQ(outcome.exit_code, exit_code) << outcome.err;
    EXPECT_EQ(outcome.out, "");
    EXPECT_THAT(outcome.err, ::testing::HasSubstr("--resume"));
    const fs::path directory = run_directory("signalled");
    EXPECT_FALSE(fs::exists(directory / "result.json"));
    const io::SafetensorsFile checkpoint(directory / "checkpoint" / "last.safetensors");
    const int64_t saved = Json::parse(checkpoint.metadata().at("state"))["step"];
    const int64_t logged = Json::parse(events_of(directory).back())["step"];
    EXPECT_LT(saved - logged, 5) << "the checkpoint is that of the moment";
    EXPECT_GE(saved, logged);
    const Outcome refused = run(training("signalled", "1"));
    expect_refused(refused, 2, {"started", "--resume"});
  }
  ASSERT_EQ(run(training("signalled", "3", {"--resume"})).exit_code, 0);
  expect_equal_runs(run_directory("undisturbed"), run_directory("signalled"));
}

TEST_P(ResumeTest, AFinishedRunIsReportedAgainUnchangedAndTestedAgainIfItsResultIsLost) {
  const auto before = contents_of(path("undisturbed"));
  const fs::path result = run_directory("undisturbed") / "result.json";
  const Json record = json_of(result);
  const Outcome again = run(training("undisturbed", "1", {"--resume", "--json"}));
  EXPECT_EQ(again.exit_code, 0);
  EXPECT_EQ(again.json(), record);
  EXPECT_EQ(contents_of(path("undisturbed")), before);
  fs::remove(result);
  const Outcome tested = run(training("undisturbed", "2", {"--resume", "--json"}));
  ASSERT_EQ(tested.exit_code, 0) << tested.err;
  EXPECT_EQ(without_timings(tested.json()), without_timings(record));
}

TEST_P(ResumeTest, ForceStartsAfresh) {
  interrupted_after(30, SIGKILL, training("forced", "2"), "forced");
  const Outcome outcome = run(training("forced", "2", {"--force"}));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  expect_equal_runs(run_directory("undisturbed"), run_directory("forced"));
}

TEST_F(ProgramTest, AnInterruptedEvaluationEndsAtOnceAndIsDoneAgain) {
  make_much_to_evaluate();
  const auto training = [&](const std::string& out, const Arguments& more = {}) {
    return train({"--set", "train.steps=2", "--set", "train.eval_every=1", "--set", "train.log_every=1"}, out) + more;
  };
  const Outcome undisturbed = run(training("undisturbed"));
  ASSERT_EQ(undisturbed.exit_code, 0) << undisturbed.err;
  const std::vector<std::string> events = events_of(run_directory("undisturbed"));
  ASSERT_EQ(events.size(), 4U);  // train, validation, twice
  // In the validation after the first step, in that after the second, and in the test.
  for (const size_t lines : {1U, 3U, 4U}) {
    const Outcome outcome = interrupted_after(lines, SIGINT, training("interrupted", {"--resume"}), "interrupted");
    EXPECT_EQ(outcome.exit_code, 130) << outcome.err;
    EXPECT_THAT(outcome.err, ::testing::HasSubstr("--resume"));
    EXPECT_EQ(events_of(run_directory("interrupted")).size(), lines) << "the evaluation went on";
    EXPECT_FALSE(fs::exists(run_directory("interrupted") / "result.json"));
  }
  ASSERT_EQ(run(training("interrupted", {"--resume"})).exit_code, 0);
  expect_equal_runs(run_directory("undisturbed"), run_directory("interrupted"));
}

INSTANTIATE_TEST_SUITE_P(Mechanisms, ResumeTest, ::testing::Values("softmax", "cosformer"),
                         [](const auto& instance) { return std::string(instance.param); });

}  // namespace
}  // namespace lra::testing
