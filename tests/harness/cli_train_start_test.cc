// How a training starts: --dry-run, --init-from, and --config with what wins over what.
#include "engine/io/safetensors.h"
#include "tests/harness/program.h"

namespace lra::testing {
namespace {

using ::testing::HasSubstr;

class TrainStartTest : public ProgramTest {
 protected:
  void SetUp() override { make_data(); }

  fs::path best(const std::string& out = "runs") const {
    return run_directory(out) / "checkpoint" / "best.safetensors";
  }
  /// A run whose steps change nothing: no rate, no decay.
  Arguments frozen(const Arguments& more, const std::string& out) const {
    return train(Arguments{"--set", "train.learning_rate=0", "--set", "train.weight_decay=0"} + more, out);
  }
};

TEST_F(TrainStartTest, WeightsComeFromTheFileAndTheRecordSaysSo) {
  ASSERT_EQ(run(train()).exit_code, 0);
  for (const std::string& from : {best().string(), run_directory().string()}) {
    const std::string out = from.ends_with(".safetensors") ? "file" : "directory";
    const Outcome outcome = run(frozen({"--init-from", from, "--seed", "5", "--json"}, out));
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_EQ(outcome.json()["initial_weights"]["path"], best().string());
    EXPECT_EQ(outcome.json()["initial_weights"]["sha256"].get<std::string>().size(), 64U);
    const io::SafetensorsFile given(best()), kept(best(out));
    ASSERT_EQ(given.tensors().size(), kept.tensors().size());
    for (const io::SafetensorsTensor& tensor : given.tensors())
      EXPECT_EQ(given.values<float>(tensor.name), kept.values<float>(tensor.name)) << tensor.name;
  }
  EXPECT_EQ(run_directory("file").filename(), run_directory("directory").filename());
  EXPECT_TRUE(json_of(run_directory() / "result.json")["initial_weights"].is_null());
}

TEST_F(TrainStartTest, MomentsAreNotTakenAlong) {
  ASSERT_EQ(run(train()).exit_code, 0);
  const fs::path last = run_directory() / "checkpoint" / "last.safetensors";
  // The same weights with and without moments in the file: the same training.
  const Arguments common = {"--set", "train.selection=last", "--json"};
  const Outcome with = run(train(common + Arguments{"--init-from", last.string()}, "with"));
  std::vector<io::SafetensorsTensor> weights;
  const io::SafetensorsFile file(last);
  for (const io::SafetensorsTensor& tensor : file.tensors())
    if (!tensor.name.starts_with("opt/")) weights.push_back(tensor);
  io::write_safetensors(path("weights.safetensors"), weights);
  const Outcome without = run(train(common + Arguments{"--init-from", text("weights.safetensors")}, "without"));
  ASSERT_EQ(with.exit_code, 0) << with.err;
  ASSERT_EQ(without.exit_code, 0) << without.err;
  EXPECT_EQ(with.json()["loss"], without.json()["loss"]);
}

TEST_F(TrainStartTest, OtherWeightsAreAnotherRunAndConfigJsonRepeatsIt) {
  ASSERT_EQ(run(train()).exit_code, 0);
  ASSERT_EQ(run(train({"--init-from", best().string()}, "from")).exit_code, 0);
  EXPECT_NE(run_directory().parent_path().filename(), run_directory("from").parent_path().filename());
  const Arguments again = {"train",     "--config",   (run_directory("from") / "config.json").string(),
                           "--data",    text("data"), "--out",
                           text("from")};
  refuses(again, 2, {"already holds a finished run"});
  const fs::path weights = best();
  write_bytes(weights, read_bytes(weights) + " ");
  refuses(again + Arguments{"--force"}, 3, {"SHA-256", weights.string()});
  fs::remove(weights);
  EXPECT_EQ(run(again + Arguments{"--resume"}).exit_code, 0) << "a resumed run needs the file no more";
  refuses(again + Arguments{"--force"}, 3, {weights.string()});
}

TEST_F(TrainStartTest, WeightsThatDoNotFitAreNamed) {
  ASSERT_EQ(run(train()).exit_code, 0);
  const Arguments from = {"--init-from", best().string()};
  refuses(train(from + Arguments{"--set", "model.d_ffn=64"}, "x"), 4, {"encoder.layers.0.ffn.in.weight", "[16, 64]"});
  refuses(train(from + Arguments{"--set", "model.layers=2"}, "x"), 4, {"it has no encoder.layers.1."});
  std::vector<io::SafetensorsTensor> tensors;
  const io::SafetensorsFile file(best());
  for (const io::SafetensorsTensor& tensor : file.tensors()) tensors.push_back(tensor);
  const std::vector<float> one = {1};
  tensors.push_back(io::make_tensor<float>("encoder.extra", {1}, one));
  io::write_safetensors(path("extra.safetensors"), tensors);
  refuses(train({"--init-from", text("extra.safetensors")}, "x"), 4, {"the model has no encoder.extra"});
  EXPECT_FALSE(fs::exists(path("x")));
}

TEST_F(TrainStartTest, WeightsThatAreNoneAreRefused) {
  ASSERT_EQ(run(train()).exit_code, 0);
  refuses(train({"--init-from", text("absent.safetensors")}, "x"), 3, {"absent.safetensors", "does not exist"});
  refuses(train({"--init-from", text("data")}, "x"), 3, {"config.json"});
  refuses(train({"--init-from", (run_directory() / "config.json").string()}, "x"), 3, {"config.json"});
  std::string bytes = read_bytes(best());
  bytes.back() = static_cast<char>(bytes.back() ^ 0x40);
  write_bytes(path("damaged.safetensors"), bytes);
  refuses(train({"--init-from", text("damaged.safetensors")}, "x"), 3, {"damaged.safetensors", "SHA-256"});
  refuses(train({"--set", "train.init_from=w"}, "x"), 2, {"train.init_from", "--init-from"});
}

TEST_F(TrainStartTest, ADryRunTellsWhatTheRunThenDoesAndWritesNothing) {
  const auto before = contents_of(directory_.path());
  const Outcome dry = run(train({"--dry-run", "--json"}));
  ASSERT_EQ(dry.exit_code, 0) << dry.err;
  EXPECT_EQ(contents_of(directory_.path()), before);
  const nlohmann::json told = dry.json();
  EXPECT_EQ(told["steps"]["left"], 6);
  EXPECT_EQ(told["evaluations_left"], 2);
  EXPECT_GT(told["estimate_s"]["total"], 0);
  const Outcome ran = run(train({"--json"}));
  ASSERT_EQ(ran.exit_code, 0) << ran.err;
  EXPECT_EQ(told["run_directory"], run_directory().string());
  EXPECT_EQ(told["configuration"], json_of(run_directory() / "config.json"));
  EXPECT_EQ(told["parameters"], ran.json()["model"]["parameters"]);
  EXPECT_EQ(told["memory"]["arena_bytes"], ran.json()["memory"]["forecast_arena_bytes"]);

  const auto after = contents_of(directory_.path());
  EXPECT_THAT(run(train({"--dry-run", "--resume"})).out, HasSubstr("reported again"));
  EXPECT_THAT(run(train({"--dry-run", "--force"})).out, HasSubstr("would be replaced"));
  EXPECT_EQ(contents_of(directory_.path()), after);
}

TEST_F(TrainStartTest, ADryRunRefusesWhatTheRunWould) {
  refuses(train({"--dry-run", "--memory-limit", "100K"}), 5, {"the run needs"});
  refuses(train({"--dry-run", "--set", "model.heads=3"}), 2, {"model.d_model"});
  refuses(train({"--dry-run", "--init-from", "absent"}), 3, {"absent"});
  write_bytes(path("file"), "");
  refuses(train({"--dry-run"}, "file/runs"), 5, {"file/runs", "Not a directory"});
  ASSERT_EQ(run(train()).exit_code, 0);
  refuses(train({"--dry-run"}), 2, {"already holds a finished run"});
  refuses(train({"--dry-run", "--init-from", best().string(), "--set", "model.d_ffn=64"}, "x"), 4, {"ffn.in.weight"});
}

TEST_F(TrainStartTest, FlagsWinOverSetWhichWinsOverTheConfigurationFileWhichWinsOverThePreset) {
  write_bytes(path("mine.json"), R"({"preset": "tiny", "task.name": "listops", "attention": {"name": "linear"},
                                     "sequence_length": 64, "seed": 3, "train": {"steps": 7, "lanes": 2}})");
  const Arguments base = {"train", "--config",   text("mine.json"), "--data", text("data"),
                          "--out", text("runs"), "--dry-run",       "--json"};
  const nlohmann::json file = run(base).json()["configuration"];
  EXPECT_EQ(file["preset"], "tiny");
  EXPECT_EQ(file["attention"]["name"], "linear");
  EXPECT_EQ(file["sequence_length"], 64);
  EXPECT_EQ(file["train"]["lanes"], 2);
  EXPECT_EQ(file["train"]["batch_size"], 8) << "of the preset";
  const Arguments over = {"--set", "train.steps=9", "--set", "sequence_length=80", "--attention", "softmax", "--length",
                          "96",    "--seed",        "4"};
  const nlohmann::json flags = run(base + over).json()["configuration"];
  EXPECT_EQ(flags["train"]["steps"], 9);
  EXPECT_EQ(flags["train"]["lanes"], 2);
  EXPECT_EQ(flags["attention"]["name"], "softmax");
  EXPECT_EQ(flags["sequence_length"], 96);
  EXPECT_EQ(flags["seed"], 4);
}

}  // namespace
}  // namespace lra::testing
