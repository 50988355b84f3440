// The tasks as a whole: generated and imported datasets, the official layout, baselines.
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
#include "tests/tasks/archive_builder.h"
#include "tests/temporary_directory.h"

namespace lra::tasks {
namespace {

namespace fs = std::filesystem;
using ::testing::Contains;
using ::testing::HasSubstr;
using testing::read_bytes;
using testing::TemporaryDirectory;
using testing::thrown_by;
using testing::write_bytes;

const Task& easy32() { return task_named("pathfinder32_easy"); }

GenerateOptions small_options(int threads = 2) {
  return {.seed = 4, .threads = threads, .examples = {.train = 60, .validation = 7, .test = 33}};
}

Dataset generate(const fs::path& directory, const GenerateOptions& options = small_options()) {
  easy32().generate(options, directory, {});
  return Dataset::open(directory, "pathfinder32_easy");
}

std::string all_bytes(const Dataset& dataset) {
  std::string bytes = read_bytes(dataset.directory() / kManifestFile);
  for (const auto& [name, file] : dataset.manifest().arrays) bytes += read_bytes(dataset.directory() / name);
  return bytes;
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

/// A directory in the official layout, filled with tiny sets.
class Archive {
 public:
  static constexpr const char* kSet = "pathfinder32/curv_baseline";

  /// Writes `images` images of one gray level each, labels alternating, in batches of 4 below `root`.
  void write(const std::string& root, int images, int level) const {
    for (int i = 0; i < images; ++i) {
      const std::string batch = std::to_string(i / 4);
      const fs::path folder = directory_.path() / root / "imgs" / batch;
      fs::create_directories(folder);
      const std::vector<uint8_t> pixels(1024, static_cast<uint8_t>(level + i));
      const std::vector<std::byte> png = encode_gray_png(pixels, 32, 32);
      const std::string name = "sample_" + std::to_string(i % 4) + ".png";
      write_bytes(folder / name, {reinterpret_cast<const char*>(png.data()), png.size()});
      append(root, batch,
             "imgs/" + batch + " " + name + " " + std::to_string(i % 4) + " " + std::to_string(i % 2) + "\n");
    }
  }

  void append(const std::string& root, const std::string& batch, const std::string& line) const {
    const fs::path file = directory_.path() / root / "metadata" / (batch + ".npy");
    fs::create_directories(file.parent_path());
    write_bytes(file, read_bytes(file) + line);
  }

  fs::path path() const { return directory_.path(); }

  Dataset import(const TemporaryDirectory& data, const ParameterTexts& parameters = {}, const NoteFn& note = {}) const {
    easy32().import({.from = path(), .parameters = parameters, .force = true, .note = note}, data.path(), {});
    return Dataset::open(data.path(), "pathfinder32_easy");
  }

  DataError refusal() const {
    const TemporaryDirectory data;
    return thrown_by<DataError>([&] { import(data); });
  }

 private:
  TemporaryDirectory directory_;
};

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
    versions.insert(all_bytes(generate(directory.path(), small_options(threads))));
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

TEST(PathfinderImportTest, DealsTenthsByTheSplitSeedAndKeepsTheOrderOfBatches) {
  const Archive archive;
  archive.write(Archive::kSet, 48, 100);  // batches 0..11: 10 and 11 come after 9, not after 1
  const TemporaryDirectory data;
  const Dataset dataset = archive.import(data);
  EXPECT_EQ(dataset.manifest().examples, (SplitSizes{.train = 40, .validation = 4, .test = 4}));
  std::vector<uint8_t> levels;
  for (int64_t i = 0; i < 40; ++i) levels.push_back(dataset.train().tokens(i)[0]);
  EXPECT_TRUE(std::is_sorted(levels.begin(), levels.end()));
  for (int64_t i = 0; i < 40; ++i) EXPECT_EQ(dataset.train().label(i), levels[static_cast<size_t>(i)] % 2);
  const std::string first = all_bytes(dataset);
  EXPECT_EQ(all_bytes(archive.import(data)), first);
  EXPECT_EQ(all_bytes(archive.import(data, {{"task.split_seed", "42"}})), first);
  EXPECT_NE(all_bytes(archive.import(data, {{"task.split_seed", "43"}})), first);
}

TEST(PathfinderImportTest, TakesTheInnerOfTwoCopies) {
  const Archive archive;
  archive.write(std::string("lra_release/") + Archive::kSet, 20, 10);
  archive.write(std::string("lra_release/lra_release/") + Archive::kSet, 20, 200);
  const TemporaryDirectory data;
  std::vector<std::string> notes;
  const Dataset dataset = archive.import(data, {}, [&](const std::string& line) { notes.push_back(line); });
  EXPECT_GE(dataset.train().tokens(0)[0], 200);
  EXPECT_THAT(notes, Contains(HasSubstr("two copies")));
}

TEST(PathfinderImportTest, FindsTheSetWhereverItIsNestedAndNoOther) {
  const Archive archive;
  archive.write(std::string("a/b/") + Archive::kSet, 20, 10);
  archive.write("a/b/pathfinder64/curv_baseline", 20, 50);
  archive.write("a/b/pathfinder32/curv_contour_length_9", 20, 90);
  std::set<std::string> versions;
  for (const char* from : {"", "a", "a/b/pathfinder32", "a/b/pathfinder32/curv_baseline"}) {
    const TemporaryDirectory data;
    easy32().import({.from = archive.path() / from}, data.path(), {});
    const Dataset dataset = Dataset::open(data.path(), "pathfinder32_easy");
    versions.insert(all_bytes(dataset));
  }
  EXPECT_EQ(versions.size(), 1U);
  const TemporaryDirectory data;
  const auto error =
      thrown_by<DataError>([&] { task_named("pathfinder32_hard").import({.from = archive.path()}, data.path(), {}); });
  EXPECT_THAT(error.what(), HasSubstr("does not hold pathfinder32/curv_contour_length_14/imgs"));
}

TEST(PathfinderImportTest, ReadsAnArchiveAsItReadsTheDirectory) {
  const Archive archive;
  archive.write(std::string("release/") + Archive::kSet, 30, 10);
  write_bytes(archive.path() / "release" / Archive::kSet / "imgs/2/sample_3.png", "");
  const TemporaryDirectory packed;
  testing::write_archive_of(packed / "lra_release.tar.gz", archive.path());
  const TemporaryDirectory first;
  const TemporaryDirectory second;
  easy32().import({.from = archive.path()}, first.path(), {});
  easy32().import({.from = packed / "lra_release.tar.gz"}, second.path(), {});
  EXPECT_EQ(all_bytes(Dataset::open(first.path(), "pathfinder32_easy")),
            all_bytes(Dataset::open(second.path(), "pathfinder32_easy")));
}

TEST(PathfinderImportTest, LeavesOutEmptyImagesAndSaysSo) {
  const Archive archive;
  archive.write(Archive::kSet, 22, 100);
  for (const char* empty : {"0/sample_1.png", "3/sample_0.png"}) {
    write_bytes(archive.path() / Archive::kSet / "imgs" / empty, "");
  }
  const TemporaryDirectory data;
  std::vector<std::string> notes;
  const Dataset dataset = archive.import(data, {}, [&](const std::string& line) { notes.push_back(line); });
  EXPECT_EQ(dataset.manifest().examples, (SplitSizes{.train = 16, .validation = 2, .test = 2}));
  EXPECT_EQ(dataset.manifest().source.counts.at("empty_images"), 2);
  EXPECT_THAT(notes, Contains("2 images are empty files and left out: imgs/0/sample_1.png, imgs/3/sample_0.png"));
}

TEST(PathfinderImportTest, LeavesOutImagesThatNoMetadataListAndSaysSo) {
  const Archive archive;
  archive.write(Archive::kSet, 20, 100);
  const TemporaryDirectory data;
  const std::string whole = archive.import(data).manifest().dataset_sha256;
  const fs::path images = archive.path() / Archive::kSet / "imgs/1";
  fs::copy(images / "sample_0.png", images / "sample_9.png");
  write_bytes(images / "sample_8.png", "damaged, which does not matter");
  write_bytes(images / "Thumbs.db", "no image");
  std::vector<std::string> notes;
  const Dataset dataset = archive.import(data, {}, [&](const std::string& line) { notes.push_back(line); });
  EXPECT_EQ(dataset.manifest().dataset_sha256, whole);
  EXPECT_EQ(dataset.manifest().source.counts.at("unlisted_images"), 2);
  EXPECT_THAT(notes, Contains("2 images are in no metadata and left out: imgs/1/sample_8.png, imgs/1/sample_9.png"));
}

TEST(PathfinderImportTest, RefusesTheImagesOfAnotherDifficulty) {
  const TemporaryDirectory data;
  const TemporaryDirectory images;
  const Dataset easy = generate(data.path());
  easy32().export_images(easy, SplitName::kTrain, images / "set", {});
  const auto error =
      thrown_by<DataError>([&] { task_named("pathfinder32_hard").import({.from = images / "set"}, data.path(), {}); });
  EXPECT_THAT(error.what(), HasSubstr("contours of 6 pieces: these are the images of `curv_baseline`"));
  EXPECT_FALSE(fs::exists(data / "pathfinder32_hard"));
}

TEST(PathfinderImportTest, TheBarOfAnArchiveOnlyRises) {
  const Archive archive;
  archive.write(std::string("release/") + Archive::kSet, 40, 10);
  const TemporaryDirectory packed;
  testing::write_archive_of(packed / "lra_release.tar.gz", archive.path());
  uint64_t last = 0;
  uint64_t whole = 0;
  easy32().import({.from = packed / "lra_release.tar.gz"}, packed.path(), [&](uint64_t done, uint64_t total) {
    EXPECT_GE(done, last);
    EXPECT_TRUE(whole == 0 || total == whole);
    last = done;
    whole = total;
  });
  EXPECT_EQ(last, whole);
  EXPECT_EQ(whole, 2 * fs::file_size(packed / "lra_release.tar.gz")) << "it is read twice";
}

TEST(PathfinderImportTest, RefusesWhatIsMissingOrDamaged) {
  const Archive archive;
  archive.write(Archive::kSet, 8, 100);
  const fs::path root = archive.path() / Archive::kSet;
  const std::string metadata = read_bytes(root / "metadata/1.npy");
  archive.append(Archive::kSet, "1", "imgs/1 sample_7.png 7 1\n");
  EXPECT_THAT(archive.refusal().what(), HasSubstr("there is no `pathfinder32/curv_baseline/imgs/1/sample_7.png`"));
  EXPECT_THAT(archive.refusal().what(), HasSubstr("line 5 of `"));
  EXPECT_THAT(archive.refusal().what(), HasSubstr("metadata/1.npy`"));
  write_bytes(root / "metadata/1.npy", metadata + "imgs/1 sample_7.png\n");
  EXPECT_THAT(archive.refusal().what(), HasSubstr("line 5, column 8: the line has 2 columns"));
  write_bytes(root / "metadata/1.npy", metadata + "imgs/0 sample_1.png 1 1\n");
  EXPECT_THAT(archive.refusal().what(), HasSubstr("`imgs/0/sample_1.png` is listed twice: in line 2 of `"));
  EXPECT_THAT(archive.refusal().what(), HasSubstr("metadata/0.npy` and in line 5 of `"));
  write_bytes(root / "metadata/1.npy", metadata);
  const std::string image = read_bytes(root / "imgs/1/sample_2.png");
  write_bytes(root / "imgs/1/sample_2.png", image.substr(0, image.size() / 2));
  EXPECT_THAT(archive.refusal().what(), HasSubstr("sample_2.png`: "));
  for (const int side : {16, 64}) {
    const std::vector<uint8_t> pixels(static_cast<size_t>(side * side), 9);
    const std::vector<std::byte> other = encode_gray_png(pixels, side, side);
    write_bytes(root / "imgs/1/sample_2.png", {reinterpret_cast<const char*>(other.data()), other.size()});
    const std::string sides = std::to_string(side) + " x " + std::to_string(side);
    EXPECT_THAT(archive.refusal().what(), HasSubstr("is " + sides + " pixels, expected 32 x 32"));
    EXPECT_THAT(archive.refusal().hint(), HasSubstr("the set of this size"));
  }
  write_bytes(root / "imgs/1/sample_2.png", image);
  EXPECT_THAT(archive.refusal().what(), HasSubstr("no examples for the test split"));
  fs::remove_all(root / "metadata");
  EXPECT_THAT(archive.refusal().what(), HasSubstr("list any image"));
}

TEST(PathfinderImportTest, RefusesOtherParameters) {
  const Archive archive;
  archive.write(Archive::kSet, 4, 100);
  const TemporaryDirectory data;
  for (const char* text : {"", "-1", "1.5", "99999999999999999999"}) {
    EXPECT_THROW(archive.import(data, {{"task.split_seed", text}}), UsageError) << text;
  }
  const auto unknown = thrown_by<UsageError>([&] { archive.import(data, {{"task.seed", "1"}}); });
  EXPECT_THAT(unknown.hint(), HasSubstr("task.split_seed"));
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
  const Archive archive;  // two white spots, closer for label 1
  for (int i = 0; i < 40; ++i) {
    std::vector<uint8_t> pixels(1024, 0);
    const int x = i % 2 == 1 ? 12 : 26;
    for (int y = 9; y <= 11; ++y) {
      for (const int column : {3, 4, 5, x, x + 1, x + 2}) pixels[static_cast<size_t>(32 * y + column)] = 255;
    }
    const std::string name = "sample_" + std::to_string(i) + ".png";
    const std::vector<std::byte> png = encode_gray_png(pixels, 32, 32);
    const fs::path folder = archive.path() / Archive::kSet / "imgs/0";
    fs::create_directories(folder);
    write_bytes(folder / name, {reinterpret_cast<const char*>(png.data()), png.size()});
    archive.append(Archive::kSet, "0", "imgs/0 " + name + " 0 " + std::to_string(i % 2) + "\n");
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
