// Imports of the official layout: where it lies, what it lists, and what is wrong with it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "tests/tasks/archive_builder.h"
#include "tests/tasks/pathfinder/official_tree.h"

namespace lra::tasks {
namespace {

namespace fs = std::filesystem;
using pathfinder::easy32;
using pathfinder::OfficialTree;
using pathfinder::stored_bytes;
using ::testing::Contains;
using ::testing::HasSubstr;
using testing::read_bytes;
using testing::TemporaryDirectory;
using testing::thrown_by;
using testing::write_bytes;

TEST(PathfinderImportTest, DealsTenthsByTheSplitSeedAndKeepsTheOrderOfBatches) {
  const OfficialTree archive;
  archive.write(OfficialTree::kSet, 48, 100);  // batches 0..11: 10 and 11 come after 9, not after 1
  const TemporaryDirectory data;
  const Dataset dataset = archive.import(data);
  EXPECT_EQ(dataset.manifest().examples, (SplitSizes{.train = 40, .validation = 4, .test = 4}));
  std::vector<uint8_t> levels;
  for (int64_t i = 0; i < 40; ++i) levels.push_back(dataset.train().tokens(i)[0]);
  EXPECT_TRUE(std::is_sorted(levels.begin(), levels.end()));
  for (int64_t i = 0; i < 40; ++i) EXPECT_EQ(dataset.train().label(i), levels[static_cast<size_t>(i)] % 2);
  const std::string first = stored_bytes(dataset);
  EXPECT_EQ(stored_bytes(archive.import(data)), first);
  EXPECT_EQ(stored_bytes(archive.import(data, {{"task.split_seed", "42"}})), first);
  EXPECT_NE(stored_bytes(archive.import(data, {{"task.split_seed", "43"}})), first);
}

TEST(PathfinderImportTest, TakesTheInnerOfTwoCopies) {
  const OfficialTree archive;
  archive.write(std::string("lra_release/") + OfficialTree::kSet, 20, 10);
  archive.write(std::string("lra_release/lra_release/") + OfficialTree::kSet, 20, 200);
  const TemporaryDirectory data;
  std::vector<std::string> notes;
  const Dataset dataset = archive.import(data, {}, [&](const std::string& line) { notes.push_back(line); });
  EXPECT_GE(dataset.train().tokens(0)[0], 200);
  EXPECT_THAT(notes, Contains(HasSubstr("two copies")));
}

TEST(PathfinderImportTest, FindsTheSetWhereverItIsNestedAndNoOther) {
  const OfficialTree archive;
  archive.write(std::string("a/b/") + OfficialTree::kSet, 20, 10);
  archive.write("a/b/pathfinder64/curv_baseline", 20, 50);
  archive.write("a/b/pathfinder32/curv_contour_length_9", 20, 90);
  std::set<std::string> versions;
  for (const char* from : {"", "a", "a/b/pathfinder32", "a/b/pathfinder32/curv_baseline"}) {
    const TemporaryDirectory data;
    easy32().import({.from = archive.path() / from}, data.path(), {});
    const Dataset dataset = Dataset::open(data.path(), "pathfinder32_easy");
    versions.insert(stored_bytes(dataset));
  }
  EXPECT_EQ(versions.size(), 1U);
  const TemporaryDirectory data;
  const auto error =
      thrown_by<DataError>([&] { task_named("pathfinder32_hard").import({.from = archive.path()}, data.path(), {}); });
  EXPECT_THAT(error.what(), HasSubstr("does not hold pathfinder32/curv_contour_length_14/imgs"));
}

TEST(PathfinderImportTest, ReadsAnArchiveAsItReadsTheDirectory) {
  const OfficialTree archive;
  archive.write(std::string("release/") + OfficialTree::kSet, 30, 10);
  write_bytes(archive.path() / "release" / OfficialTree::kSet / "imgs/2/sample_3.png", "");
  const TemporaryDirectory packed;
  testing::write_archive_of(packed / "lra_release.tar.gz", archive.path());
  const TemporaryDirectory first;
  const TemporaryDirectory second;
  easy32().import({.from = archive.path()}, first.path(), {});
  easy32().import({.from = packed / "lra_release.tar.gz"}, second.path(), {});
  EXPECT_EQ(stored_bytes(Dataset::open(first.path(), "pathfinder32_easy")),
            stored_bytes(Dataset::open(second.path(), "pathfinder32_easy")));
}

TEST(PathfinderImportTest, LeavesOutEmptyImagesAndSaysSo) {
  const OfficialTree archive;
  archive.write(OfficialTree::kSet, 22, 100);
  for (const char* empty : {"0/sample_1.png", "3/sample_0.png"}) {
    write_bytes(archive.path() / OfficialTree::kSet / "imgs" / empty, "");
  }
  const TemporaryDirectory data;
  std::vector<std::string> notes;
  const Dataset dataset = archive.import(data, {}, [&](const std::string& line) { notes.push_back(line); });
  EXPECT_EQ(dataset.manifest().examples, (SplitSizes{.train = 16, .validation = 2, .test = 2}));
  EXPECT_EQ(dataset.manifest().source.counts.at("empty_images"), 2);
  EXPECT_THAT(notes, Contains("2 images are empty files and left out: imgs/0/sample_1.png, imgs/3/sample_0.png"));
}

TEST(PathfinderImportTest, LeavesOutImagesThatNoMetadataListAndSaysSo) {
  const OfficialTree archive;
  archive.write(OfficialTree::kSet, 20, 100);
  const TemporaryDirectory data;
  const std::string whole = archive.import(data).manifest().dataset_sha256;
  const fs::path images = archive.path() / OfficialTree::kSet / "imgs/1";
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
  easy32().generate({.seed = 4, .threads = 2, .examples = {.train = 20, .validation = 1, .test = 1}}, data.path(), {});
  const Dataset easy = Dataset::open(data.path(), "pathfinder32_easy");
  easy32().export_images(easy, SplitName::kTrain, images / "set", {});
  const auto error =
      thrown_by<DataError>([&] { task_named("pathfinder32_hard").import({.from = images / "set"}, data.path(), {}); });
  EXPECT_THAT(error.what(), HasSubstr("contours of 6 pieces: these are the images of `curv_baseline`"));
  EXPECT_FALSE(fs::exists(data / "pathfinder32_hard"));
}

TEST(PathfinderImportTest, TheBarOfAnArchiveOnlyRises) {
  const OfficialTree archive;
  archive.write(std::string("release/") + OfficialTree::kSet, 40, 10);
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
  const OfficialTree archive;
  archive.write(OfficialTree::kSet, 8, 100);
  const fs::path root = archive.path() / OfficialTree::kSet;
  const std::string metadata = read_bytes(root / "metadata/1.npy");
  archive.append(OfficialTree::kSet, "1", "imgs/1 sample_7.png 7 1\n");
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
  const OfficialTree archive;
  archive.write(OfficialTree::kSet, 4, 100);
  const TemporaryDirectory data;
  for (const char* text : {"", "-1", "1.5", "99999999999999999999"}) {
    EXPECT_THROW(archive.import(data, {{"task.split_seed", text}}), UsageError) << text;
  }
  const auto unknown = thrown_by<UsageError>([&] { archive.import(data, {{"task.seed", "1"}}); });
  EXPECT_THAT(unknown.hint(), HasSubstr("task.split_seed"));
}

TEST(PathfinderImportTest, TakesImagesByWhatIsListedNotByTheirNames) {
  const OfficialTree archive;
  archive.write(OfficialTree::kSet, 20, 100);
  const TemporaryDirectory data;
  const std::string whole = archive.import(data).manifest().dataset_sha256;
  const fs::path root = archive.path() / OfficialTree::kSet;
  fs::rename(root / "imgs/2/sample_1.png", root / "imgs/2/second.PNG");
  const std::string metadata = read_bytes(root / "metadata/2.npy");
  std::string renamed = metadata;
  renamed.replace(renamed.find("sample_1.png"), 12, "second.PNG");
  write_bytes(root / "metadata/2.npy", renamed);
  EXPECT_EQ(archive.import(data).manifest().dataset_sha256, whole);
  write_bytes(root / "metadata/2.npy", renamed + "metadata 0.npy 5 1\n");
  EXPECT_THAT(archive.refusal().what(), HasSubstr("`metadata/0.npy` is listed as an image in line 5 of `"));
}

}  // namespace
}  // namespace lra::tasks
