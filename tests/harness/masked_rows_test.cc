// Tokens that a model masks, left out of what it reads: the same numbers, from fewer rows.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include <nlohmann/json.hpp>

#include "attention/registry.h"
#include "engine/errors.h"
#include "engine/io/file.h"
#include "harness/learner.h"
#include "harness/predict.h"
#include "harness/presets.h"
#include "harness/run_inputs.h"
#include "tests/harness/tiny_model.h"
#include "tests/tasks/toy_dataset.h"
#include "tests/temporary_directory.h"

namespace lra::harness {
namespace {

using engine::Dtype;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::kTask;

namespace fs = std::filesystem;

constexpr int64_t kLength = 200;

/// Mostly zeros, as images of curves: one that begins with a zero, one without any and, where `with_empty`, one of
/// nothing else.
PredictRequest sparse_request(bool with_empty) {
  constexpr int64_t kExamples = 4;
  engine::Stream stream(3, engine::Purpose::data, "sparse");
  PredictRequest request{.n = kLength, .tokens = {}, .labels = {}, .gradients = true};
  for (int64_t example = 0; example < kExamples; ++example) {
    for (int64_t i = 0; i < kLength; ++i) {
      const bool zero =
          (with_empty && example == 0) || (example != 1 && stream.uniform() < 0.7) || (example == 2 && i == 0);
      const auto token = static_cast<int64_t>(1 + stream.below(testing::kVocabulary - 1));
      request.tokens.push_back(zero ? 0 : token);
    }
    request.labels.push_back(example % testing::kClasses);
  }
  return request;
}

double largest_difference(const std::vector<double>& a, const std::vector<double>& b) {
  EXPECT_EQ(a.size(), b.size());
  double scale = 1e-300, most = 0;
  for (size_t i = 0; i < b.size(); ++i) {
    scale = std::max(scale, std::abs(b[i]));
    most = std::max(most, std::abs(a[i] - b[i]));
  }
  return most / scale;
}

std::vector<std::string> droppable_names() {
  std::vector<std::string> names = attention::names();
  std::erase_if(names, [](const std::string& name) { return !attention::find(name).facts().masked_rows_droppable; });
  return names;
}

class MaskedRowsTest : public ::testing::TestWithParam<std::string> {
 protected:
  bool is_droppable() const { return attention::find(GetParam()).facts().masked_rows_droppable; }
  TrainConfig config(MaskedRows rows, Pooling pooling, Positions positions = Positions::kLearned) const {
    TrainConfig config = testing::tiny_config(GetParam(), kLength, pooling);
    config.task.mask_zero_tokens = true;
    config.model.masked_rows = rows;
    config.model.positions = positions;
    return config;
  }
  static Prediction predict(const TrainConfig& config, Dtype dtype, engine::Kernels kernels) {
    const Model model(config, kTask, Dtype::f64, engine::Kernels::plain);
    // Softmax spreads the CLS row of an empty sequence over its padding, of which there may be any number.
    const PredictRequest request = sparse_request(config.model.pooling != Pooling::kCls);
    return Predictor(config, kTask, dtype, kernels).predict(request, testing::noisy_parameters(model));
  }
};

class DroppedRowsTest : public MaskedRowsTest {};

TEST_P(DroppedRowsTest, AreMissedByNoNumber) {
  struct Form {
    Pooling pooling;
    Positions positions;
  };
  for (const bool causal : {false, true}) {
    if (causal && !attention::find(GetParam()).facts().causal) continue;
    for (const Form form : {Form{Pooling::kCls, Positions::kLearned}, Form{Pooling::kMean, Positions::kSinusoidal},
                            Form{Pooling::kMeanNominal, Positions::kLearned}}) {
      SCOPED_TRACE(::testing::Message() << "pooling " << static_cast<int>(form.pooling) << " causal " << causal);
      TrainConfig keep = config(MaskedRows::kKeep, form.pooling, form.positions);
      TrainConfig drop = config(MaskedRows::kDrop, form.pooling, form.positions);
      keep.attention.causal = drop.attention.causal = causal;
      const auto expect_equal = [&](Dtype dtype, engine::Kernels kernels, double tolerance) {
        const Prediction expected = predict(keep, dtype, kernels), got = predict(drop, dtype, kernels);
        EXPECT_LE(largest_difference(got.logits, expected.logits), tolerance);
        EXPECT_LE(largest_difference(got.losses, expected.losses), tolerance);
        EXPECT_LE(largest_difference(got.gradients, expected.gradients), tolerance);
      };
      expect_equal(Dtype::f64, engine::Kernels::plain, 1e-12);
      expect_equal(Dtype::f32, engine::Kernels::fused, attention::find(GetParam()).facts().single_precision_error);
    }
  }
}

TEST_P(MaskedRowsTest, AutoDropsThemWhereThatChangesNothing) {
  const auto settled = [&](Pooling pooling, bool masked) {
    TrainConfig asked = config(MaskedRows::kAuto, pooling);
    asked.task.mask_zero_tokens = masked;
    complete_attention_parameters(asked);
    return asked.model.masked_rows;
  };
  EXPECT_EQ(settled(Pooling::kMean, true), is_droppable() ? MaskedRows::kDrop : MaskedRows::kKeep);
  EXPECT_EQ(settled(Pooling::kMeanPadded, true), MaskedRows::kKeep);
  EXPECT_EQ(settled(Pooling::kMean, false), MaskedRows::kKeep);
}

TEST_P(MaskedRowsTest, DroppingIsRefusedWhereItWouldChangeNumbers) {
  const auto refusal = [&](Pooling pooling) -> std::string {
    try {
      check_attention(config(MaskedRows::kDrop, pooling));
    } catch (const UsageError& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(refusal(Pooling::kMean),
            is_droppable() ? "" : "[model.masked_rows] drop: " + GetParam() + " needs every row in its place");
  EXPECT_THAT(refusal(Pooling::kMeanPadded), HasSubstr("[model.masked_rows] drop: "));
}

INSTANTIATE_TEST_SUITE_P(Mechanisms, MaskedRowsTest, ::testing::ValuesIn(attention::names()),
                         [](const auto& test) { return test.param; });
INSTANTIATE_TEST_SUITE_P(Mechanisms, DroppedRowsTest, ::testing::ValuesIn(droppable_names()),
                         [](const auto& test) { return test.param; });

/// {0 0 3 0 2 1} and {0 0 0}, cut to five tokens.
class DroppedZerosTest : public ::testing::Test {
 protected:
  DroppedZerosTest() {
    tasks::DatasetWriter writer(directory_.path(), tasks::toy_manifest(), false);
    for (const tasks::SplitName split : tasks::kSplitNames) {
      for (const std::vector<uint8_t>& tokens : {std::vector<uint8_t>{0, 0, 3, 0, 2, 1}, std::vector<uint8_t>(3, 0)}) {
        writer.add_sequence(split, tokens);
        writer.add_label(split, 0);
      }
    }
    writer.finish();
  }
  const lra::testing::TemporaryDirectory directory_;
};

TEST_F(DroppedZerosTest, OthersKeepTheirPlacesAndTheFirstTokenStays) {
  const tasks::Dataset dataset = tasks::Dataset::open(directory_.path(), "toy");
  const SplitExamples examples(Subset(dataset.train()), 5, true);
  EXPECT_EQ(examples.length(0, 0), 3);
  EXPECT_EQ(examples.length(1, 0), 1);
  std::vector<int32_t> tokens(5, 9), positions(3, 9);
  examples.copy_tokens(0, 0, tokens);
  examples.copy_positions(0, 0, positions);
  EXPECT_THAT(tokens, ElementsAre(0, 3, 2, 0, 0));
  EXPECT_THAT(positions, ElementsAre(0, 2, 4));
  examples.copy_tokens(1, 0, tokens);
  EXPECT_THAT(tokens, ElementsAre(0, 0, 0, 0, 0));
  std::vector<int32_t> one(1, 9);
  examples.copy_tokens(0, 0, one);  // less room than there are
  EXPECT_THAT(one, ElementsAre(0));
}

TEST_F(DroppedZerosTest, WithoutDroppingEveryTokenIsRead) {
  const tasks::Dataset dataset = tasks::Dataset::open(directory_.path(), "toy");
  const SplitExamples examples(dataset.train(), 5);
  std::vector<int32_t> tokens(6, 9), positions(5, 9);
  EXPECT_EQ(examples.length(0, 0), 5);
  examples.copy_tokens(0, 0, tokens);
  examples.copy_positions(0, 0, positions);
  EXPECT_THAT(tokens, ElementsAre(0, 0, 3, 0, 2, 0));
  EXPECT_THAT(positions, ElementsAre(0, 1, 2, 3, 4));
}

/// Three sequences of 4,500 tokens of which every other one, about, is zero: more than two groups of blocks remain.
class LongMaskedRowsTest : public ::testing::TestWithParam<std::string> {
 protected:
  static constexpr int64_t kLong = 4500;

  LongMaskedRowsTest() {
    tasks::Manifest manifest = tasks::toy_manifest();
    manifest.nominal_length = kLong;
    tasks::DatasetWriter writer(directory_.path(), manifest, false);
    engine::Stream stream(5, engine::Purpose::data, "long");
    for (const tasks::SplitName split : tasks::kSplitNames)
      for (int example = 0; example < 3; ++example) {
        std::vector<uint8_t> tokens(static_cast<size_t>(kLong));
        for (uint8_t& token : tokens) token = static_cast<uint8_t>(stream.below(2) * (1 + stream.below(3)));
        writer.add_sequence(split, tokens);
        writer.add_label(split, static_cast<uint8_t>(example));
      }
    writer.finish();
  }

  struct Trained {
    std::vector<double> losses;
    std::vector<float> first_moments, weights;
    int64_t executed_tokens = 0, memory_bytes = 0;
    engine::Activations activations = engine::Activations::kept;
  };
  Trained train(MaskedRows rows, int threads, size_t steps = 2, int64_t memory_limit_bytes = 0) const {
    TrainConfig config = testing::tiny_config(GetParam(), kLong);
    config.task.mask_zero_tokens = true;
    config.model.masked_rows = rows;
    const tasks::Dataset dataset = tasks::Dataset::open(directory_.path(), "toy");
    const SplitExamples examples(Subset(dataset.train()), config);
    std::vector<int64_t> lengths;
    for (int64_t i = 0; i < examples.size(); ++i) lengths.push_back(examples.length(i, 0));
    Model model(config, kTask, Dtype::f32, engine::Kernels::fused);
    Learner learner(model, {.threads = threads, .memory_limit_bytes = memory_limit_bytes}, lengths, {});
    Trained trained;
    const std::vector<std::vector<int64_t>> batches = {{0}, {2, 0, 1}};
    for (size_t step = 0; step < steps; ++step) {
      const Tally tally = learner.train_step(examples, batches[step], static_cast<int64_t>(step));
      trained.losses.push_back(tally.loss());
      trained.executed_tokens += tally.executed_tokens;
      if (step == 0) trained.first_moments = testing::copy(learner.first_moments());
    }
    trained.weights = testing::copy(learner.weights());
    trained.memory_bytes = learner.memory().total();
    trained.activations = model.activations();
    return trained;
  }

 private:
  const lra::testing::TemporaryDirectory directory_;
};

TEST_P(LongMaskedRowsTest, BlocksGroupsTeamsAndRecomputationGiveTheSame) {
  const Trained kept = train(MaskedRows::kKeep, 1, 1), one = train(MaskedRows::kDrop, 1);
  EXPECT_EQ(kept.executed_tokens, kLong);
  EXPECT_LT(one.executed_tokens, 4 * 0.6 * kLong);
  EXPECT_NEAR(one.losses[0], kept.losses[0], 1e-5);
  float scale = 0, most = 0;  // the first step's gradient, but for a factor
  for (size_t i = 0; i < kept.first_moments.size(); ++i) {
    scale = std::max(scale, std::abs(kept.first_moments[i]));
    most = std::max(most, std::abs(one.first_moments[i] - kept.first_moments[i]));
  }
  EXPECT_LT(most, 1e-4F * scale);
  for (const int threads : {2, 3}) {
    const Trained more = train(MaskedRows::kDrop, threads);
    EXPECT_EQ(more.losses, one.losses) << threads << " threads";
    EXPECT_EQ(more.weights, one.weights) << threads << " threads";
  }
  const Trained again = train(MaskedRows::kDrop, 1, 2, one.memory_bytes - 1);
  EXPECT_EQ(again.activations, engine::Activations::recomputed);
  EXPECT_EQ(again.weights, one.weights);
}

INSTANTIATE_TEST_SUITE_P(Mechanisms, LongMaskedRowsTest, ::testing::ValuesIn(droppable_names()),
                         [](const auto& test) { return test.param; });

TEST(MaskedRowsPresetTest, ImagesDropThemWithEveryMechanismThatCan) {
  const auto rows = [](const char* task, const char* attention, const char* preset) {
    return completed(resolve_config({.task = task, .attention = attention, .preset = preset})).config.model.masked_rows;
  };
  for (const char* task : {"image", "pathfinder64_hard"}) {
    for (const char* preset : {"small", "paper"}) {
      EXPECT_EQ(rows(task, "cosformer", preset), MaskedRows::kDrop) << task << preset;
      EXPECT_EQ(rows(task, "linformer", preset), MaskedRows::kKeep) << task << preset;
    }
  }
  EXPECT_EQ(rows("pathfinder32_hard", "cosformer", "small"), MaskedRows::kDrop);
  EXPECT_EQ(rows("pathfinder32_hard", "cosformer", "paper"), MaskedRows::kKeep);  // pooled over the padded length
  EXPECT_EQ(rows("listops", "cosformer", "small"), MaskedRows::kKeep);
}

/// A key that came later must not rename the runs of before, nor change what their configurations run.
TEST(RecordedRunsTest, KeepTheirHashes) {
  size_t runs = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(fs::path(LRA_SOURCE_DIR) / "results")) {
    const fs::path record = entry.path().parent_path() / "result.json";
    if (entry.path().filename() != "config.json" || !fs::exists(record)) continue;
    SCOPED_TRACE(entry.path());
    ++runs;
    const nlohmann::json recorded = nlohmann::json::parse(io::read_text_file(record));
    const TrainConfig config = completed(resolve_config({.config_file = entry.path()})).config;
    EXPECT_EQ(config_hash(config, recorded.at("task").at("dataset_sha256").get<std::string>()),
              recorded.at("config_hash"));
  }
  EXPECT_GE(runs, 16U);
}

}  // namespace
}  // namespace lra::harness
