// Memory, disk, locks, earlier results and divergence: what a run does when it cannot go on.
#include "tests/harness/program.h"

namespace lra::testing {
namespace {

class ResourceErrorsTest : public ProgramTest {
 protected:
  void SetUp() override { make_data(); }
};

TEST_F(ResourceErrorsTest, ARunThatDoesNotFitIsRefusedBeforeAnythingIsWritten) {
  refuses(train({"--memory-limit", "100K"}), 5, {"the run needs", "100 KiB", "arenas", "lower", "train.lanes"});
  const Arguments lengthy = {"train",    "--task", "listops",    "--attention", "softmax",
                             "--preset", "tiny",   "--length",   "1000000",     "--memory-limit",
                             "1M",       "--data", text("data"), "--out",       text("runs")};
  refuses(lengthy, 5, {"the run needs", "1.00 MiB", "--length"});
  EXPECT_FALSE(fs::exists(path("runs")));
}

TEST_F(ResourceErrorsTest, ARunThatDoesNotFitKeepsTheEarlierOneEvenWithForce) {
  ASSERT_EQ(run(train()).exit_code, 0);
  const auto before = contents_of(path("runs"));
  refuses(train({"--force", "--memory-limit", "100K"}), 5, {"the run needs"});
  EXPECT_EQ(contents_of(path("runs")), before);
}

TEST_F(ResourceErrorsTest, AFinishedRunIsNotReplacedUnasked) {
  ASSERT_EQ(run(train()).exit_code, 0);
  const auto before = contents_of(path("runs"));
  refuses(train(), 2, {"finished", "--resume", "--force"});
  EXPECT_EQ(contents_of(path("runs")), before);
  ASSERT_EQ(run(train({"--force"})).exit_code, 0);
  EXPECT_NE(contents_of(path("runs")), before);  // another time of day at least
}

TEST_F(ResourceErrorsTest, PlacesThatCannotBeWritten) {
  write_bytes(path("file"), "precious");
  refuses(train({}, "file/runs"), 5, {"file/runs", "Not a directory"});
  refuses({"data", "generate", "listops", "--data", text("file/data"), "--train", "10"}, 5, {"file/data"});
  refuses({"data", "export", "listops", "--data", text("data"), "--split", "test", "--format", "tsv", "--output",
           text("file/test.tsv")},
          5, {"file/test.tsv"});
  EXPECT_EQ(read_bytes(path("file")), "precious");
}

TEST_F(ResourceErrorsTest, ANameThatTheFileSystemDoesNotTake) {
  const std::string name(300, 'a');  // more than any file system's 255 bytes
  refuses(train({}, name), 5, {"File name too long", name, "permissions"});
}

TEST_F(ResourceErrorsTest, ABenchmarkFindsOutBeforeItMeasures) {
  const Arguments bench = {"bench",    "--attention", "softmax",      "--length", "64",
                           "--preset", "tiny",        "--min-time-s", "60"};
  write_bytes(path("file"), "precious");
  refuses(bench + Arguments{"--json", text("file/b.json")}, 5, {"file/b.json"});
  refuses(bench + Arguments{"--json", text("data")}, 2, {"data"});
}

TEST_F(ResourceErrorsTest, ABatchTooLargeForMemoryIsARecordNotACrash) {
  const Outcome outcome = run({"bench", "--attention", "softmax", "--length", "2000", "--preset", "tiny", "--batch",
                               "1000000", "--memory-limit", "200M", "--json", "-"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(outcome.json()["results"][0]["status"], "does_not_fit");
}

TEST_F(ResourceErrorsTest, AFullDiskIsReportedByEveryWriter) {
  const Arguments bench = {"bench", "--attention", "softmax", "--length",     "64", "--preset",
                           "tiny",  "--min-steps", "1",       "--min-time-s", "0"};
  refuses(bench + Arguments{"--json", "/dev/full"}, 5, {"/dev/full", "No space left"});
  refuses({"data", "export", "listops", "--data", text("data"), "--split", "test", "--format", "tsv", "--output",
           "/dev/full"},
          5, {"/dev/full"});
  ASSERT_EQ(run(train()).exit_code, 0);
  const std::vector<Arguments> printing = {{"list", "tasks", "--json"},
                                           {"list", "attention"},
                                           {"--version"},
                                           {"--help"},
                                           {"train", "--help-config"},
                                           {"data", "info", "listops", "--data", text("data")},
                                           {"data", "verify", "listops", "--data", text("data")},
                                           {"eval", run_directory().string(), "--data", text("data")},
                                           train({"--resume"}),
                                           train({"--resume", "--json"})};
  for (const Arguments& arguments : printing) {
    const Outcome outcome = run(arguments, "/dev/full");
    SCOPED_TRACE(arguments[0]);
    expect_refused(outcome, 5, {"cannot write to standard output"});
  }
}

TEST_F(ResourceErrorsTest, ASecondProcessOnTheSameRunIsRefusedAndTheFirstUnharmed) {
  const Arguments longer = train({"--set", "train.steps=400", "--set", "train.eval_every=20"});
  Program first(longer, setting());
  ASSERT_TRUE(first.wait_until([&] {
    if (!fs::exists(path("runs"))) return false;
    for (const auto& entry : fs::recursive_directory_iterator(path("runs")))
      if (entry.path().filename() == "last.safetensors") return true;
    return false;
  }));
  for (const Arguments& more : {Arguments{}, Arguments{"--resume"}, Arguments{"--force"}})
    refuses(longer + more, 5, {"in use by another process"});
  ASSERT_TRUE(first.is_running()) << "the machine was too fast for this test";
  const Outcome outcome = first.finish();
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(json_of(run_directory() / "result.json")["status"].get<std::string>().empty(), false);
}

/// Weight decay times learning rate far above 1: the weights grow 100,000-fold a step.
Arguments exploding(const std::string& steps, const std::string& eval_every) {
  return {"--set", "train.learning_rate=1000",      "--set", "train.schedule=constant",
          "--set", "train.weight_decay=100",        "--set", "train.steps=" + steps,
          "--set", "train.eval_every=" + eval_every};
}

TEST_F(ResourceErrorsTest, ALossThatIsNotFiniteIsADivergedRun) {
  const Outcome outcome = run(train(exploding("50", "0")));
  EXPECT_EQ(outcome.exit_code, 4) << outcome.err;
  EXPECT_THAT(outcome.out, ::testing::HasSubstr("diverged"));
  const auto record = json_of(run_directory() / "result.json");
  EXPECT_EQ(record["status"], "diverged");
  EXPECT_TRUE(record["accuracy"]["test"].is_null());
  const auto before = contents_of(path("runs"));
  const Outcome again = run(train(exploding("50", "0") + Arguments{"--resume", "--json"}));
  EXPECT_EQ(again.exit_code, 4);
  EXPECT_EQ(again.json(), record);
  EXPECT_EQ(contents_of(path("runs")), before);
}

TEST_F(ResourceErrorsTest, WeightsRuinedByTheLastStepAreADivergedRunToo) {
  int ruined = 0;
  for (const char* steps : {"8", "9", "10", "11"}) {
    const Outcome outcome = run(train(exploding(steps, steps) + Arguments{"--json"}, steps));
    const auto record = outcome.json();
    const bool diverged = record["status"] == "diverged";
    EXPECT_EQ(outcome.exit_code, diverged ? 4 : 0) << steps;
    EXPECT_EQ(record["loss"]["test"].is_null(), diverged) << "a loss that is not finite passed, at " << steps;
    ruined += diverged ? 1 : 0;
  }
  EXPECT_GT(ruined, 0);
}

}  // namespace
}  // namespace lra::testing
