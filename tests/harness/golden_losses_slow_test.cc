// The first 20 losses of every preset are what they were: to the bit where they were recorded, to rounding elsewhere.
// Each file of tests/golden/first_losses is TASK-PRESET-ATTENTION.json. After a change that is meant to move them, and
// for another mechanism's first file (empty to begin with): LRA_UPDATE_GOLDEN=1 build/release/lra_harness_slow_tests
// --gtest_filter='*GoldenLosses*', and say in the commit why they moved.
#include <cmath>
#include <cstdlib>

#include "harness/presets.h"
#include "tests/harness/program.h"

namespace lra::testing {
namespace {

using Json = nlohmann::json;

const fs::path kGolden = fs::path(LRA_SOURCE_DIR) / "tests/golden/first_losses";
constexpr size_t kSteps = 20;

/// Largest relative difference of a loss between machines, instruction sets and compilers: sums of f32 in other orders,
/// carried through 20 updates. With oneDNN held to AVX2 (ONEDNN_MAX_CPU_ISA=AVX2) it is 5.7e-7 at most.
constexpr double kTolerance = 1e-5;

std::vector<fs::path> golden_files() {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(kGolden)) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

/// What decides the bits of a result, as far as a record tells.
Json fingerprint_of(const Json& environment) {
  Json kept;
  for (const char* key : {"cpu", "cpu_id", "l2_bytes", "l3_bytes", "isa", "kernel_isa", "onednn", "compiler", "flags"})
    kept[key] = environment[key];
  return kept;
}

class GoldenLosses : public ProgramTest, public ::testing::WithParamInterface<fs::path> {
 protected:
  /// {"environment": …, "losses": […]} of a run on expressions of 200 to 400 tokens (more than one block of rows).
  Json first_losses(const std::string& task, const std::string& preset, const std::string& attention) {
    const Outcome made =
        run({"data", "generate", task, "--data", text("data"), "--seed", "0", "--train", "40", "--validation", "1",
             "--test", "1", "--set", "task.min_length=200", "--set", "task.max_length=400"});
    EXPECT_EQ(made.exit_code, 0) << made.err;
    Arguments train = {"train",    "--task", task,     "--attention", attention, "--preset",   preset,
                       "--length", "400",    "--data", text("data"),  "--out",   text("runs"), "--json"};
    for (const char* setting : {"train.steps=20", "train.batch_size=2", "train.log_every=1", "train.eval_every=0",
                                "train.checkpoint_every=0"})
      train = train + Arguments{"--set", setting};
    const Outcome trained = run(train);
    EXPECT_EQ(trained.exit_code, 0) << trained.err;
    Json losses = Json::array();
    std::ifstream log(run_directory() / "metrics.jsonl");
    for (std::string line; std::getline(log, line);) {
      const Json event = Json::parse(line);
      if (event["split"] == "train") losses.push_back(event["train/loss"]);
    }
    EXPECT_EQ(losses.size(), kSteps);
    return {{"environment", fingerprint_of(trained.json()["environment"])}, {"losses", losses}};
  }
};

TEST_P(GoldenLosses, AreTheRecordedOnes) {
  const fs::path& file = GetParam();
  const std::string stem = file.stem().string();
  const size_t first = stem.find('-'), second = stem.find('-', first + 1);
  ASSERT_NE(second, std::string::npos) << file << ": the name is not TASK-PRESET-ATTENTION.json";
  const Json reached =
      first_losses(stem.substr(0, first), stem.substr(first + 1, second - first - 1), stem.substr(second + 1));
  if (std::getenv("LRA_UPDATE_GOLDEN") != nullptr) {
    std::ofstream(file) << reached.dump(1) << "\n";
    return;
  }
  const Json golden = json_of(file);
  const bool same_machine = golden["environment"] == reached["environment"];
  RecordProperty("compared", same_machine ? "to the bit" : "to tolerance");
  ASSERT_EQ(golden["losses"].size(), reached["losses"].size());
  for (size_t step = 0; step < kSteps; ++step) {
    const double expected = golden["losses"][step], loss = reached["losses"][step];
    if (same_machine) {
      EXPECT_EQ(loss, expected) << "step " << step + 1 << ", on the machine and with the build that recorded " << file;
    } else {
      EXPECT_LE(std::abs(loss - expected), kTolerance * expected) << "step " << step + 1 << " of " << file;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Files, GoldenLosses, ::testing::ValuesIn(golden_files()), [](const auto& file) {
  std::string name = file.param.stem().string();
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

TEST(GoldenLossesTest, EveryPresetHasSome) {
  const std::vector<fs::path> files = golden_files();
  for (const harness::PresetSummary& preset : harness::list_presets())
    EXPECT_TRUE(std::any_of(files.begin(), files.end(), [&](const fs::path& file) {
      return file.filename().string().find("-" + preset.name + "-") != std::string::npos;
    })) << preset.name;
}

}  // namespace
}  // namespace lra::testing
