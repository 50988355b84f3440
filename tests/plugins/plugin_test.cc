// Mechanisms from shared objects, as a user meets them: what works, and what is said when it does not.
#include <fstream>
#include <iterator>

#include "harness/commands/command.h"
#include "harness/commands/option_table.h"
#include "harness/contract.h"
#include "tests/harness/program.h"

namespace lra::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string plugin(const std::string& name) { return LRA_TEST_PLUGINS "/liblra_test_" + name + ".so"; }

class PluginTest : public ProgramTest {
 protected:
  Arguments train_plugin(const std::string& attention, const Arguments& more = {}) const {
    return Arguments{"train",
                     "--task",
                     "listops",
                     "--attention",
                     attention,
                     "--preset",
                     "tiny",
                     "--data",
                     text("data"),
                     "--out",
                     text("runs"),
                     "--length",
                     "100",
                     "--set",
                     "train.steps=6",
                     "--set",
                     "train.eval_every=3",
                     "--set",
                     "train.checkpoint_every=2"} +
           more;
  }
};

TEST_F(PluginTest, EveryCommandThatKnowsMechanismsTakesPlugins) {
  CLI::App app(harness::kDescription, "lra");
  int exit_code = 0;
  harness::add_commands(app, exit_code);
  for (const harness::CommandEntry& command : harness::describe(app).commands) {
    bool knows_mechanisms = command.name == "eval" || command.name == "predict" || command.name == "list",
         takes = false;
    for (const harness::OptionEntry& option : command.options) {
      knows_mechanisms = knows_mechanisms || option.names[0] == "--attention";
      takes = takes || (option.names[0] == "--plugin" && option.repeatable);
    }
    EXPECT_EQ(takes, knows_mechanisms) << command.name;
  }
}

TEST_F(PluginTest, IsListedBesideTheOthers) {
  const Outcome table = run({"list", "attention", "--plugin", plugin("efficient")});
  EXPECT_THAT(table.out, HasSubstr("Shen et al. 2021"));
  EXPECT_THAT(table.out, HasSubstr("from liblra_test_efficient.so"));
  const nlohmann::json all = run({"list", "attention", "--json", "--plugin", plugin("efficient")}).json();
  for (const nlohmann::json& facts : all)
    EXPECT_EQ(facts["plugin"], facts["name"] == "efficient" ? nlohmann::json("liblra_test_efficient.so") : nullptr);
  EXPECT_THAT(run({"list", "attention"}).out, Not(HasSubstr("efficient ")));
}

TEST_F(PluginTest, KeepsTheWholeContract) {
  const Outcome outcome = run({"selftest", "--plugin", plugin("efficient")});  // and no other mechanism
  EXPECT_EQ(outcome.exit_code, 0) << outcome.out;
  EXPECT_THAT(outcome.out, HasSubstr("efficient: "));
  EXPECT_THAT(outcome.out, Not(HasSubstr("softmax: ")));
  EXPECT_THAT(outcome.out, HasSubstr(" 0 failed"));
}

TEST_F(PluginTest, SeveralMayBeLoadedAndOneTwice) {
  const Outcome outcome = run({"list", "attention", "--plugin", plugin("efficient"), "--plugin",
                               plugin("wrong_gradient"), "--plugin", plugin("efficient")});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("wrong_gradient"));
}

TEST_F(PluginTest, TrainsAndTheRecordSaysWhereItIsFrom) {
  make_data();
  const Outcome trained = run(train_plugin("efficient", {"--plugin", plugin("efficient"), "--json"}));
  ASSERT_EQ(trained.exit_code, 0) << trained.err;
  const nlohmann::json attention = trained.json()["attention"];
  EXPECT_EQ(attention["plugin"]["file"], "liblra_test_efficient.so");
  EXPECT_EQ(attention["plugin"]["sha256"].get<std::string>().size(), 64U);
  EXPECT_EQ(attention["parameters"]["temperature"], 1.0);
  EXPECT_THAT(read_bytes(run_directory() / "config.json"), Not(HasSubstr(LRA_TEST_PLUGINS)));
  EXPECT_EQ(run({"eval", run_directory().string(), "--data", text("data"), "--plugin", plugin("efficient")}).exit_code,
            0);
  // Without the option it says what to type.
  const std::vector<std::string> advice = {"`efficient`", "liblra_test_efficient.so",
                                           "--plugin PATH/liblra_test_efficient.so"};
  refuses({"eval", run_directory().string(), "--data", text("data")}, 2, advice);
  refuses({"train", "--config", (run_directory() / "config.json").string(), "--data", text("data"), "--resume"}, 2,
          advice);
  refuses(train_plugin("efficient", {"--resume"}), 2, {"unknown attention `efficient`", "--plugin PATH/libNAME.so"});
}

/// A copy of the sound plug-in that works alike and has another SHA-256.
std::string other_build(const fs::path& copy) {
  std::ofstream(copy, std::ios::binary) << read_bytes(plugin("efficient")) << "another build";
  return copy.string();
}

TEST_F(PluginTest, AnotherBuildIsNoticed) {
  make_data();
  const Arguments first = {"--plugin", plugin("efficient")},
                  second = {"--plugin", other_build(path("liblra_test_efficient.so"))};
  ASSERT_EQ(run(train_plugin("efficient", first)).exit_code, 0);
  const Outcome same = run(train_plugin("efficient", first + Arguments{"--resume"}));
  EXPECT_EQ(same.exit_code, 0) << same.err;
  refuses(train_plugin("efficient", second + Arguments{"--resume"}), 2, {"finished run", "SHA-256", "--force"});
  const Outcome evaluated = run(Arguments{"eval", run_directory().string(), "--data", text("data")} + second);
  EXPECT_EQ(evaluated.exit_code, 0);
  EXPECT_THAT(evaluated.err, HasSubstr("warning"));
  // A run that is not finished goes on, and its record says so.
  fs::remove(run_directory() / "result.json");
  const Outcome resumed = run(train_plugin("efficient", second + Arguments{"--resume", "--json"}));
  ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_THAT(resumed.json()["notes"].dump(), HasSubstr("was from liblra_test_efficient.so of SHA-256"));
}

TEST_F(PluginTest, FilesThatAreNoPlugins) {
  std::ofstream(path("notes.so")) << "not a library";
  refuses({"list", "attention", "--plugin", "missing.so"}, 2, {"missing.so", "does not exist", "./libmine.so"});
  refuses({"list", "attention", "--plugin", text("")}, 2, {"is not a file"});
  refuses({"list", "attention", "--plugin", "notes.so"}, 2, {"notes.so", "no shared object", "lra_add_plugin"});
  refuses({"list", "attention", "--plugin", plugin("no_stamp")}, 2, {"no stamp", "lra_add_plugin"});
  const std::string whole = read_bytes(plugin("efficient"));
  for (const size_t kept : {size_t{10}, whole.size() / 2, whole.size() - 1}) {
    std::ofstream(path("cut.so"), std::ios::binary) << whole.substr(0, kept);
    refuses({"list", "attention", "--plugin", "cut.so"}, 2, {"cut.so", "is cut short", "build it again"});
  }
}

TEST_F(PluginTest, OneForAnotherVersionIsNotRun) {
  std::string bytes = read_bytes(plugin("efficient"));
  const size_t version = bytes.find("lra-plugin-stamp ") + std::string("lra-plugin-stamp ").size();
  bytes.replace(version, 3, "9.9");
  std::ofstream(path("other.so"), std::ios::binary) << bytes;
  refuses({"selftest", "--plugin", "other.so"}, 2, {"other.so", "built for lra 9.9", "this is lra", "build it again"});
}

TEST_F(PluginTest, NothingOfARefusedPluginStays) {
  refuses({"list", "attention", "--plugin", plugin("taken_name")}, 2,
          {"`softmax` is registered by", "softmax.cc", "taken_name.so", "another name"});
  refuses({"list", "attention", "--plugin", plugin("two_meanings")}, 2,
          {"`epsilon` has two meanings", "two_meanings.so"});
  refuses({"list", "attention", "--plugin", plugin("unusable_name")}, 2, {"`My Attention`", "a-z"});
  refuses({"list", "attention", "--plugin", plugin("registers_nothing")}, 2,
          {"registers no mechanism", "Registration"});
  refuses({"list", "attention", "--plugin", plugin("undeclared_function")}, 2,
          {"cannot be loaded", "no_such_operation"});
}

TEST_F(PluginTest, ExceptionsSayWhoseTheyAre) {
  refuses({"list", "attention", "--plugin", plugin("throws_in_constructor")}, 2,
          {"throws_in_constructor.so", "while it was loaded", "the table of angles is missing"});
  refuses({"list", "attention", "--plugin", plugin("throws_in_facts")}, 2,
          {"throws_in_facts.so", "facts()", "the facts are missing"});
  const Arguments bench = {"bench", "--length", "64", "--preset", "tiny"};
  refuses(bench + Arguments{"--attention", "unbuilt", "--plugin", plugin("throws_in_graph")}, 2,
          {"[unbuilt]", "throws_in_graph.so", "built its graph", "landmark 7 of 4"});
  refuses(bench + Arguments{"--attention", "wrong_shape", "--plugin", plugin("wrong_shape")}, 2,
          {"[wrong_shape]", "attend() returned a value of shape", "shape and dtype of its argument"});
  refuses(bench + Arguments{"--attention", "no_gradient", "--plugin", plugin("throws_in_gradient")}, 2,
          {"[no_gradient]", "throws_in_gradient.so", "this operation has no gradient"});
}

TEST_F(PluginTest, AKernelThatThrowsEndsTheRunAndTheCheckpointStays) {
  make_data();
  const Arguments train = train_plugin("failing", {"--plugin", plugin("throws_while_running"), "--threads", "2"});
  refuses(train, 4,
          {"step 5", "[failing]", "throws_while_running.so", "the table is empty", "checkpoint of step 4", "--resume"});
  EXPECT_TRUE(fs::exists(run_directory() / "checkpoint" / "last.safetensors"));
  EXPECT_FALSE(fs::exists(run_directory() / "result.json"));
  refuses(train + Arguments{"--resume"}, 4, {"step 5", "checkpoint of step 4"});
}

TEST_F(PluginTest, AKernelThatThrowsInAnEvaluationLosesNoStep) {
  make_data();
  const Arguments train = train_plugin("unevaluated", {"--plugin", plugin("throws_in_evaluation"), "--threads", "2",
                                                       "--set", "train.eval_every=3", "train.checkpoint_every=100"});
  refuses(
      train, 4,
      {"evaluation after step 3:", "[unevaluated]", "no table for evaluations", "checkpoint of step 3", "--resume"});
}

TEST_F(PluginTest, ASignalInAnEvaluationIsNoFailureOfThePlugin) {
  make_much_to_evaluate();
  const Arguments train = train_plugin("efficient", {"--plugin", plugin("efficient"), "--set", "train.steps=1"});
  const Outcome outcome = interrupted_after(1, SIGINT, train, "runs");
  EXPECT_EQ(outcome.exit_code, 130) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("--resume"));
  EXPECT_FALSE(fs::exists(run_directory() / "result.json"));
}

TEST_F(PluginTest, SelftestNamesTheOperationWithTheWrongGradient) {
  const Outcome outcome = run({"selftest", "--plugin", plugin("wrong_gradient"), "--attention", "wrong_gradient"});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.out, HasSubstr("FAIL wrong_gradient finite_differences"));
  EXPECT_THAT(outcome.out, HasSubstr("the operation `doubled_gradient` has a wrong gradient by itself"));
  EXPECT_THAT(outcome.out, Not(HasSubstr("the operation `matmul`")));
  EXPECT_THAT(outcome.out, HasSubstr("means: "));
  EXPECT_THAT(outcome.out, HasSubstr("repro: lra selftest --plugin " + plugin("wrong_gradient")));
  EXPECT_THAT(outcome.out, HasSubstr(" 1 failed"));
}

TEST_F(PluginTest, SelftestReportsWhatThrows) {
  const Outcome outcome = run({"selftest", "--plugin", plugin("throws_in_graph"), "--attention", "unbuilt"});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.out, HasSubstr("FAIL unbuilt threads_do_not_matter: threw: [unbuilt]"));
  EXPECT_THAT(outcome.out, HasSubstr("means: an exception ended the check"));
  EXPECT_THAT(outcome.out, Not(HasSubstr("means: the gradient")));
}

TEST(PluginDocumentTest, ExplainsEveryCheckOfTheContract) {
  std::ifstream file(LRA_SOURCE_DIR "/docs/adding-a-mechanism.md");
  const std::string document(std::istreambuf_iterator<char>(file), {});
  for (const harness::Finding& finding : harness::check_contract("linear")) {
    EXPECT_THAT(document, HasSubstr("`" + finding.check.substr(0, finding.check.find(' ')) + "`"));
    EXPECT_NE(harness::meaning_of(finding), "");
  }
}

}  // namespace
}  // namespace lra::testing
