// Presets: each one resolves, layers are applied in their order, and mistakes are named.
#include "harness/presets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "engine/errors.h"

namespace lra::harness {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using ::testing::ThrowsMessage;

class PresetFilesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "lra_presets_XXXXXX").string();
    directory_ = ::mkdtemp(pattern.data());
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::string write(const std::string& name, const std::string& text) const {
    const std::filesystem::path path = directory_ / name;
    std::ofstream(path) << text;
    return path.string();
  }

  std::filesystem::path directory_;
};

TrainConfig resolve(ConfigRequest request) {
  if (request.task.empty()) request.task = "listops";
  if (request.attention.empty()) request.attention = "softmax";
  return resolve_config(request).config;
}

std::function<void()> resolving(const ConfigRequest& request) {
  return [request] { resolve(request); };
}

TEST(Presets, AllResolveForEveryTaskThatHasAPartOfItsOwn) {
  const auto presets = list_presets();
  EXPECT_THAT(presets, SizeIs(3));
  for (const PresetSummary& preset : presets) {
    EXPECT_FALSE(preset.citation.empty()) << preset.name;
    EXPECT_THAT(preset.tasks, Contains("listops")) << preset.name;
    for (const std::string& task : preset.tasks) {
      const ResolvedConfig resolved = resolve_config({.task = task, .attention = "softmax", .preset = preset.name});
      EXPECT_EQ(resolved.config.preset, preset.name);
      EXPECT_THAT(resolved.citations, SizeIs(2));
      EXPECT_THAT(resolved.preset_sha256, SizeIs(64));
    }
  }
}

TEST(Presets, PaperIsTheOfficialListOpsConfiguration) {
  const TrainConfig config = resolve({.preset = "paper"});
  EXPECT_EQ(config.model.layers, 4);
  EXPECT_EQ(config.model.d_model, 512);
  EXPECT_EQ(config.model.heads * config.model.d_head, 512);
  EXPECT_EQ(config.model.d_ffn, 1024);
  EXPECT_EQ(config.model.d_classifier, 1024);
  EXPECT_EQ(config.model.pooling, Pooling::kCls);
  EXPECT_EQ(config.model.positions, Positions::kSinusoidal);
  EXPECT_EQ(config.model.embedding_init_std, 1.0);
  EXPECT_FALSE(config.model.projection_bias);
  EXPECT_EQ(config.model.nominal_length, 2000);
  EXPECT_EQ(config.train.schedule, Schedule::kRsqrt);
  EXPECT_EQ(config.train.learning_rate, 0.05);
  EXPECT_EQ(config.train.warmup_steps, 1000);
  EXPECT_EQ(config.train.steps, 5000);
  EXPECT_EQ(config.train.beta2, 0.98);
  EXPECT_EQ(config.train.epsilon, 1e-9);
  EXPECT_EQ(config.train.weight_decay, 0.1);
  EXPECT_EQ(config.train.selection, Selection::kLast);
}

TEST(Presets, SmallIsTheTwoLayerConfiguration) {
  const TrainConfig config = resolve({});
  EXPECT_EQ(config.preset, "small");
  EXPECT_EQ(config.model.layers, 2);
  EXPECT_EQ(config.model.d_model, 64);
  EXPECT_EQ(config.model.vocab_rows, 32);
  EXPECT_EQ(config.model.nominal_length, 2048);
  EXPECT_EQ(config.model.pooling, Pooling::kMeanNominal);
  EXPECT_EQ(config.train.schedule, Schedule::kOnecycleLinear);
  EXPECT_EQ(config.train.learning_rate, 1e-4);
  EXPECT_EQ(config.train.eval_every, 250);
  EXPECT_EQ(config.train.selection, Selection::kBestValidation);
}

TEST(Presets, RoundNominalLengthUpForAnyLength) {
  EXPECT_EQ(resolve({.sequence_length = 1024}).model.nominal_length, 1024);
  EXPECT_EQ(resolve({.sequence_length = 4000}).model.nominal_length, 4096);
  EXPECT_EQ(resolve({.sequence_length = 65536}).model.nominal_length, 65536);
}

TEST(Presets, LetTheWidthOfAHeadFollowHeadsAndModelWidth) {
  const TrainConfig config = resolve({.assignments = {"model.d_model=48", "model.heads=4"}});
  EXPECT_EQ(config.model.d_head, 12);
}

TEST(Presets, SayWhenTheyHaveNothingForATask) {
  const ResolvedConfig resolved = resolve_config({.task = "custom", .attention = "softmax", .sequence_length = 1024});
  EXPECT_THAT(resolved.notes, Contains(HasSubstr("no values of its own for task `custom`")));
  EXPECT_THAT(resolving({.task = "custom", .preset = "paper", .sequence_length = 1024}),
              ThrowsMessage<UsageError>(HasSubstr("`paper` has no values of its own for task `custom`")));
}

TEST(Presets, RefuseAnUnknownName) {
  EXPECT_THAT(resolving({.preset = "smal"}), ThrowsMessage<UsageError>(HasSubstr("`smal` is not a preset")));
  try {
    resolve({.preset = "smal"});
  } catch (const UsageError& error) {
    EXPECT_THAT(error.hint(), HasSubstr("did you mean `small`"));
  }
  EXPECT_THROW(resolve({.preset = "missing/preset.json"}), DataError);
}

TEST_F(PresetFilesTest, ApplyInOrderPresetThenFileThenAssignmentsThenFlags) {
  const std::string file = write("config.json", R"({"train": {"steps": 70, "batch_size": 4}, "seed": 5})");
  ConfigRequest request;
  request.preset = "tiny";
  request.config_file = file;
  EXPECT_EQ(resolve(request).train.steps, 70);
  EXPECT_EQ(resolve(request).train.lanes, 4);  // of the preset
  EXPECT_EQ(resolve(request).seed, 5u);
  request.assignments = {"train.steps=80", "train.steps=90", "sequence_length=100"};
  request.seed = 6;
  EXPECT_EQ(resolve(request).train.steps, 90);
  EXPECT_EQ(resolve(request).train.batch_size, 4);
  EXPECT_EQ(resolve(request).seed, 6u);
  EXPECT_EQ(resolve(request).sequence_length, 100);
  request.sequence_length = 200;
  EXPECT_EQ(resolve(request).sequence_length, 200);
}

TEST_F(PresetFilesTest, RunAResolvedConfigurationAsItIs) {
  ConfigRequest request{.task = "listops", .attention = "cosformer", .preset = "paper"};
  request.assignments = {"attention.epsilon=1e-5", "model.heads=4"};
  const TrainConfig config = resolve_config(request).config;
  const std::string file = write("config.json", to_json(config).dump(2));
  const ResolvedConfig again = resolve_config({.config_file = file});
  EXPECT_EQ(to_json(again.config), to_json(config));
  EXPECT_EQ(again.preset_sha256, resolve_config(request).preset_sha256);
}

/// Settings that happen to name all three are no run's configuration: what they leave out is the preset's.
TEST_F(PresetFilesTest, KeepWhatAFileOfSettingsLeavesOut) {
  const std::string file = write("settings.json", R"({
    "preset": "paper", "task.name": "retrieval", "attention.name": "cosformer", "train.steps": 70})");
  const TrainConfig config = resolve_config({.config_file = file}).config;
  EXPECT_EQ(config.train.steps, 70);
  EXPECT_EQ(config.model.pair_features, PairFeatures::kConcat);
  EXPECT_EQ(config.model.classifier_layers, 2);
  EXPECT_EQ(config.model.masked_rows, MaskedRows::kAuto);
}

TEST_F(PresetFilesTest, OverrideForOneMechanismOnly) {
  const std::string preset = write("mine.json", R"({
    "citation": "a test", "config": {"sequence_length": 64, "model": {"layers": 3}},
    "attention_overrides": {"performer": {"model.layers": 5, "attention": {"num_features": 2}}}})");
  EXPECT_EQ(resolve({.preset = preset}).model.layers, 3);
  const TrainConfig config = resolve({.attention = "performer", .preset = preset});
  EXPECT_EQ(config.model.layers, 5);
  EXPECT_EQ(config.attention.parameters.at("num_features"), 2);
}

TEST_F(PresetFilesTest, RefuseMistakesNamingTheFile) {
  const auto with_preset = [&](const std::string& text) { return resolving({.preset = write("p.json", text)}); };
  EXPECT_THAT(with_preset(R"({"config": {}})"), ThrowsMessage<UsageError>(HasSubstr("[citation] is missing")));
  EXPECT_THAT(with_preset(R"({"citation": "x", "configs": {}})"), ThrowsMessage<UsageError>(HasSubstr("[configs]")));
  EXPECT_THAT(with_preset(R"({"citation": "x", "config": {"model.layerz": 1}})"),
              ThrowsMessage<UsageError>(AllOf(HasSubstr("p.json"), HasSubstr("[model.layerz]"))));
  EXPECT_THAT(with_preset(R"({"citation": "x", "config": {"seed": 1}})"),
              ThrowsMessage<UsageError>(HasSubstr("[seed]")));
  EXPECT_THAT(with_preset(R"({"citation": "x", "attention_overrides": {"luna": {"model.layerz": 1}}})"),
              ThrowsMessage<UsageError>(HasSubstr("attention_overrides.luna")));
  EXPECT_THAT(with_preset("{"), ThrowsMessage<UsageError>(HasSubstr("not valid JSON")));
  EXPECT_THAT(with_preset(R"({"citation": "x", "config": {"train": {"steps": 1, "steps": 2}}})"),
              ThrowsMessage<UsageError>(HasSubstr("[steps] is given twice")));
}

TEST(PresetHash, BelongsToThePresetAloneAndIsSharedByMechanisms) {
  ConfigRequest request{.task = "listops", .attention = "softmax", .preset = "small"};
  const std::string before = resolve_config(request).preset_sha256;
  request.assignments = {"train.steps=3"};
  request.sequence_length = 100;
  request.seed = 4;
  request.attention = "cosformer";
  EXPECT_EQ(resolve_config(request).preset_sha256, before);
  request.preset = "paper";
  EXPECT_NE(resolve_config(request).preset_sha256, before);
}

}  // namespace
}  // namespace lra::harness
