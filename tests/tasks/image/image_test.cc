// The task Image: grays, records, and the same dataset from a directory and from archives.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/errors.h"
#include "tasks/dataset.h"
#include "tasks/image/cifar.h"
#include "tasks/registry.h"
#include "tests/tasks/archive_builder.h"
#include "tests/tasks/importing.h"
#include "tests/temporary_directory.h"

namespace lra::tasks {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using testing::read_bytes;
using testing::TemporaryDirectory;
using testing::thrown_by;
using testing::write_bytes;

TEST(GrayscaleTest, KnownValues) {
  const auto tf = [](uint8_t r, uint8_t g, uint8_t b) { return int{to_gray(Grayscale::kTf, r, g, b)}; };
  const auto pil = [](uint8_t r, uint8_t g, uint8_t b) { return int{to_gray(Grayscale::kPil, r, g, b)}; };
  EXPECT_EQ(tf(0, 0, 0), 0);
  EXPECT_EQ(tf(255, 255, 255), 255) << "0.9999 * 255.5 = 255.47";
  EXPECT_EQ(tf(255, 0, 0), 76) << "0.2989 * 255.5 = 76.37";
  EXPECT_EQ(tf(0, 255, 0), 149) << "0.5870 * 255.5 = 149.98";
  EXPECT_EQ(tf(0, 0, 255), 29) << "0.1140 * 255.5 = 29.13";
  EXPECT_EQ(tf(1, 1, 1), 1) << "0.9999 * 255.5 / 255 = 1.0019";
  EXPECT_EQ(tf(128, 128, 128), 128) << "0.9999 * 128 * 255.5 / 255 = 128.24";
  // Image.new("RGB", (1, 1), (r, g, b)).convert("L") of Pillow 9.4.
  EXPECT_EQ(pil(0, 0, 0), 0);
  EXPECT_EQ(pil(255, 255, 255), 255);
  EXPECT_EQ(pil(255, 0, 0), 76);
  EXPECT_EQ(pil(0, 255, 0), 150);
  EXPECT_EQ(pil(0, 0, 255), 29);
  EXPECT_EQ(pil(10, 200, 30), 124);
  EXPECT_EQ(pil(1, 2, 3), 2);
}

TEST(GrayscaleTest, GraysStayWhatTheyAre) {
  for (int v = 0; v <= 255; ++v) {
    const auto gray = static_cast<uint8_t>(v);
    EXPECT_EQ(to_gray(Grayscale::kTf, gray, gray, gray), v);
    EXPECT_EQ(to_gray(Grayscale::kPil, gray, gray, gray), v);
  }
}

/// A record whose pixel i is (i, 2i, 3i) modulo 256, plus `seed`.
std::string record(int label, int seed) {
  std::string bytes(1, static_cast<char>(label));
  for (int colour = 1; colour <= 3; ++colour) {
    for (int i = 0; i < image::kPixels; ++i) bytes += static_cast<char>(i * colour + seed);
  }
  return bytes;
}

/// The six files, with two records in each.
void write_batches(const fs::path& directory) {
  fs::create_directories(directory);
  for (int i = 1; i <= 6; ++i) {
    const std::string name = i == 6 ? "test_batch.bin" : "data_batch_" + std::to_string(i) + ".bin";
    write_bytes(directory / name, record(i, i) + record((i + 3) % 10, 10 + i));
  }
  write_bytes(directory / "batches.meta.txt", "airplane\n");
}

Dataset import_image(const fs::path& from, const fs::path& data_dir, const ParameterTexts& parameters = {}) {
  return import_task("image", from, data_dir, parameters).dataset;
}

TEST(ImageTest, FactsAreThoseOfTheBenchmark) {
  const TaskFacts& facts = task_named("image").facts();
  EXPECT_EQ(facts.vocab_size(), 256);
  EXPECT_EQ(facts.num_classes, 10);
  EXPECT_EQ(facts.nominal_length, 1024);
  EXPECT_EQ(facts.paper_validation, ValidationSource::train_tail);
  ASSERT_TRUE(facts.image.has_value());
  EXPECT_EQ(facts.image->height * facts.image->width, 1024);
  EXPECT_DOUBLE_EQ(facts.image->mean * 255, 122.6);
  EXPECT_DOUBLE_EQ(facts.image->stddev * 255, 61);
}

TEST(ImageTest, RecordsComeInTheOrderOfTheFilesRowByRow) {
  const TemporaryDirectory directory;
  write_batches(directory / "from/cifar-10-batches-bin");
  const Dataset dataset = import_image(directory / "from", directory / "d", {{"task.grayscale", "pil"}});
  ASSERT_EQ(dataset.train().size(), 10);
  EXPECT_EQ(dataset.validation().size(), 0);
  ASSERT_EQ(dataset.test().size(), 2);
  std::vector<int> labels;
  for (int64_t i = 0; i < 10; ++i) labels.push_back(dataset.train().label(i));
  EXPECT_EQ(labels, (std::vector<int>{1, 4, 2, 5, 3, 6, 4, 7, 5, 8}));
  const auto tokens = dataset.train().tokens(5);  // the second record of data_batch_3.bin
  ASSERT_EQ(tokens.size(), 1024U);
  for (size_t i = 0; i < tokens.size(); ++i) {
    const auto at = [&](size_t colour) { return static_cast<uint8_t>(i * colour + 13); };
    ASSERT_EQ(tokens[i], to_gray(Grayscale::kPil, at(1), at(2), at(3))) << i;
  }
  EXPECT_EQ(std::get<std::string>(dataset.manifest().parameters.at("grayscale")), "pil");
  EXPECT_EQ(dataset.manifest().source.file_sha256.size(), 6U);
  EXPECT_EQ(dataset.manifest().class_names.at(9), "truck");
}

TEST(ImageTest, ArchivesGiveTheSameDatasetAsTheTree) {
  const TemporaryDirectory directory;
  write_batches(directory / "from/cifar-10-batches-bin");
  const Dataset tree = import_image(directory / "from/cifar-10-batches-bin", directory / "d");
  testing::write_archive_of(directory / "cifar-10-binary.tar.gz", directory / "from");
  const Dataset streamed = import_image(directory / "cifar-10-binary.tar.gz", directory / "s");
  EXPECT_EQ(read_bytes(streamed.directory() / kManifestFile), read_bytes(tree.directory() / kManifestFile));
}

TEST(ImageTest, DamagedFilesAreRefusedWithFileAndOffset) {
  const TemporaryDirectory directory;
  write_batches(directory / "b");
  const auto error_with = [&](const std::string& bytes) {
    write_bytes(directory / "b/data_batch_2.bin", bytes);
    return std::string(thrown_by<DataError>([&] { import_image(directory / "b", directory / "d"); }).what());
  };
  EXPECT_THAT(error_with(record(1, 1) + record(2, 2).substr(0, 3072)),
              HasSubstr("data_batch_2.bin`: the record at byte 3073 has 3072 bytes, expected 3073"));
  EXPECT_THAT(error_with(record(1, 1) + record(10, 2)),
              HasSubstr("data_batch_2.bin`: expected a label from 0 to 9 at byte 3073, found 10"));
  EXPECT_THAT(error_with(""), HasSubstr("data_batch_2.bin` is empty"));
  fs::remove(directory / "b/data_batch_2.bin");
  EXPECT_THAT(thrown_by<DataError>([&] { import_image(directory / "b", directory / "d"); }).what(),
              HasSubstr("lacks data_batch_2.bin"));
  EXPECT_FALSE(fs::exists(directory / "d/image"));
}

TEST(ImageTest, BaselinesAreMajorityAndHistogram) {
  const TemporaryDirectory directory;
  write_batches(directory / "b");
  const auto baselines = task_named("image").shortcut_baselines(import_image(directory / "b", directory / "d"));
  ASSERT_EQ(baselines.size(), 2U);
  EXPECT_EQ(baselines[0].name, "majority");
  EXPECT_EQ(baselines[1].name, "pixel_histogram");
  EXPECT_THAT(baselines[1].explanation, HasSubstr("fitted on 10 examples, scored on 2"));
}

}  // namespace
}  // namespace lra::tasks
