// The tasks as a whole: generated datasets, their export and baselines.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "engine/errors.h"
#include "tasks/dataset.h"
#include "tasks/pathfinder/baselines.h"
#include "tasks/pathfinder/generator.h"
#include "tasks/png.h"
#include "tasks/registry.h"
#include "tests/tasks/pathfinder/official_tree.h"

namespace lra::tasks {
namespace {

namespace fs = std::filesystem;
using pathfinder::easy32;
using pathfinder::OfficialTree;
using pathfinder::stored_bytes;
using ::testing::HasSubstr;
using testing::read_bytes;
using testing::TemporaryDirectory;
using testing::thrown_by;
using testing::write_bytes;

GenerateOptions small_options(int threads = 2) {
  return {.seed = 4, .threads = threads, .examples = {.train = 60, .validation = 7, .test = 33}};
}

Dataset generate(const fs::path& directory, const GenerateOptions& options = small_options()) {
  easy32().generate(options, directory, {});
  return Dataset::open(directory, "pathfinder32_easy");
}

using LabelledPixels = std::pair<std::vector<uint8_t>, int>;

/// All examples of all splits, sorted.
std::vector<LabelledPixels> examples_of(const Dataset& dataset) {
  std::vector<LabelledPixels> all;
  for (const SplitName name : kSplitNames) {
    const Split& split = dataset.split(name);
    for (int64_t i = 0; i < split.size(); ++i) {
      all.emplace_back(std::vector<uint8_t>(split.tokens(i).begin(), split.tokens(i).end()), split.label(i));
    }
  }
  std::sort(all.begin(), all.end());
  return all;
}

TEST(PathfinderTest, FactsAreThoseOfTheBenchmark) {
  const TaskFacts& facts = task_named("pathx").facts();
  EXPECT_EQ(facts.name, "pathfinder128_hard");
  EXPECT_EQ(facts.vocab_size(), 256);
  EXPECT_EQ(facts.num_classes, 2);
  EXPECT_EQ(facts.nominal_length, 16384);
  EXPECT_EQ(facts.default_examples, (SplitSizes{.train = 160'000, .validation = 20'000, .test = 20'000}));
  EXPECT_EQ(facts.image->height, 128);
  for (const char* size : {"32", "64", "128", "256"}) {
    for (const char* difficulty : {"easy", "intermediate", "hard"}) {
      EXPECT_NE(find_task(std::string("pathfinder") + size + "_" + difficulty), nullptr);
    }
  }
}

TEST(PathfinderTest, BytesDoNotDependOnTheNumberOfThreads) {
  std::set<std::string> versions;
  for (const int threads : {1, 2, 3}) {
    const TemporaryDirectory directory;
    versions.insert(stored_bytes(generate(directory.path(), small_options(threads))));
  }
  EXPECT_EQ(versions.size(), 1U);
}

TEST(PathfinderTest, SplitsAreCutFromOneSequence) {
  const TemporaryDirectory first;
  const TemporaryDirectory second;
  const Dataset whole = generate(first.path());
  const Dataset other =
      generate(second.path(), {.seed = 4, .threads = 1, .examples = {.train = 50, .validation = 0, .test = 50}});
  EXPECT_EQ(examples_of(whole), examples_of(other));
  EXPECT_EQ(whole.manifest().source.counts.at("attempts"), other.manifest().source.counts.at("attempts"));
}

TEST(PathfinderTest, ParametersAreRecorded) {
  const TemporaryDirectory directory;
  GenerateOptions options = small_options();
  options.parameters = {{"task.render", "original"}, {"task.num_distractor_snakes", "0"}};
  const Dataset dataset = generate(directory.path(), options);
  EXPECT_EQ(std::get<std::string>(dataset.manifest().parameters.at("render")), "original");
  EXPECT_EQ(std::get<int64_t>(dataset.manifest().parameters.at("num_distractor_snakes")), 0);
  EXPECT_EQ(std::get<std::string>(dataset.manifest().parameters.at("border")), "literal");
  EXPECT_EQ(dataset.manifest().source.counts.at("distractors"), 0);
  EXPECT_GE(dataset.manifest().source.counts.at("attempts"), 100);
}

TEST(PathfinderTest, WorkThatIsStoppedLeavesNothing) {
  const TemporaryDirectory directory;
  const auto stop = [](uint64_t, uint64_t) { throw std::runtime_error("stop"); };
  EXPECT_THROW(easy32().generate(small_options(), directory.path(), stop), std::runtime_error);
  EXPECT_FALSE(fs::exists(directory / "pathfinder32_easy"));
}

TEST(PathfinderTest, ExportedImagesAreImportedAgain) {
  const TemporaryDirectory data;
  const TemporaryDirectory images;
  const TemporaryDirectory again;
  const Dataset dataset = generate(data.path(), {.seed = 2, .threads = 2, .examples = {.train = 1'010}});
  easy32().export_images(dataset, SplitName::kTrain, images / "set", {});
  EXPECT_TRUE(fs::exists(images / "set/imgs/1/sample_9.png"));
  EXPECT_THAT(read_bytes(images / "set/metadata/1.npy"), ::testing::StartsWith("imgs/1 sample_0.png 0 "));
  easy32().import({.from = images / "set"}, again.path(), {});
  const Dataset imported = Dataset::open(again.path(), "pathfinder32_easy");
  EXPECT_EQ(examples_of(imported), examples_of(dataset));
  EXPECT_EQ(imported.manifest().examples, (SplitSizes{.train = 808, .validation = 101, .test = 101}));
  const auto error =
      thrown_by<UsageError>([&] { easy32().export_images(dataset, SplitName::kTrain, images / "set", {}); });
  EXPECT_THAT(error.what(), HasSubstr("is not an empty directory"));
}

TEST(PathfinderTest, ExportedMetadataTellEachMarginAndWhatWasSet) {
  const TemporaryDirectory data;
  const TemporaryDirectory images;
  GenerateOptions options = small_options();
  options.parameters = {{"task.paddle_margin_list", "1,2"}, {"task.contour_length", "4"}, {"task.border", "relaxed"}};
  const Dataset dataset = generate(data.path(), options);
  pathfinder::GeneratorParameters parameters = pathfinder::default_parameters(32, pathfinder::Difficulty::kEasy);
  parameters.paddle_margin_list = {1, 2};
  parameters.border = pathfinder::Border::kRelaxed;
  parameters.contour_length = 4;
  pathfinder::Painter painter(std::make_shared<const pathfinder::Tables>(parameters));
  std::vector<uint8_t> pixels(1024);
  uint64_t image = 0;
  for (const SplitName name : kSplitNames) {
    easy32().export_images(dataset, name, images / std::string(split_text(name)), {});
    std::string expected;
    for (int64_t i = 0; i < dataset.split(name).size(); ++i) {
      const pathfinder::Description description = painter.paint(options.seed, image++, pixels);
      expected +=
          fmt::format("imgs/0 sample_{}.png {} {} 1.0 4 2 2 0.5 {} 1\n", i, i, description.label, description.margin);
    }
    EXPECT_EQ(read_bytes(images / std::string(split_text(name)) / "metadata/0.npy"), expected);
  }
}

TEST(PathfinderBaselinesTest, FindTheMarkersOfMostImages) {
  const pathfinder::GeneratorParameters parameters = pathfinder::default_parameters(32, pathfinder::Difficulty::kEasy);
  pathfinder::Painter painter(std::make_shared<const pathfinder::Tables>(parameters));
  std::vector<uint8_t> pixels(1024);
  int found = 0;
  for (uint64_t i = 0; i < 100; ++i) {
    const pathfinder::Description image = painter.paint(9, i, pixels);
    const auto [a, b] = pathfinder::find_markers(pixels, 32, parameters.marker_radius);
    const auto is_near = [](pathfinder::Point p, pathfinder::Point q) {
      return std::abs(p.y - q.y) <= 1 && std::abs(p.x - q.x) <= 1;
    };
    found += (is_near(a, image.origin_marker) && is_near(b, image.terminal_marker)) ||
                     (is_near(b, image.origin_marker) && is_near(a, image.terminal_marker))
                 ? 1
                 : 0;
  }
  EXPECT_GE(found, 90);
}

TEST(PathfinderBaselinesTest, FitADistanceThatTellsTheLabel) {
  const OfficialTree archive;  // two white spots, closer for label 1
  for (int i = 0; i < 40; ++i) {
    std::vector<uint8_t> pixels(1024, 0);
    const int x = i % 2 == 1 ? 12 : 26;
    for (int y = 9; y <= 11; ++y) {
      for (const int column : {3, 4, 5, x, x + 1, x + 2}) pixels[static_cast<size_t>(32 * y + column)] = 255;
    }
    const std::string name = "sample_" + std::to_string(i) + ".png";
    const std::vector<std::byte> png = encode_gray_png(pixels, 32, 32);
    const fs::path folder = archive.path() / OfficialTree::kSet / "imgs/0";
    fs::create_directories(folder);
    write_bytes(folder / name, {reinterpret_cast<const char*>(png.data()), png.size()});
    archive.append(OfficialTree::kSet, "0", "imgs/0 " + name + " 0 " + std::to_string(i % 2) + "\n");
  }
  const TemporaryDirectory data;
  std::map<std::string, double> accuracies;
  for (const ShortcutBaseline& baseline : easy32().shortcut_baselines(archive.import(data))) {
    accuracies[baseline.name] = baseline.accuracy;
  }
  EXPECT_EQ(accuracies.at("marker_distance"), 1);
  EXPECT_LE(accuracies.at("majority"), 0.75);
}

}  // namespace
}  // namespace lra::tasks
