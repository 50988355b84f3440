// The task custom_images: classes, size and splits come from the folders.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "engine/errors.h"
#include "tasks/custom/image_paths.h"
#include "tasks/dataset.h"
#include "tasks/grayscale.h"
#include "tasks/jpeg.h"
#include "tasks/pixels.h"
#include "tasks/png.h"
#include "tasks/registry.h"
#include "tests/tasks/archive_builder.h"
#include "tests/tasks/importing.h"
#include "tests/tasks/jpeg_writer.h"
#include "tests/temporary_directory.h"

namespace lra::tasks {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::read_bytes;
using testing::TemporaryDirectory;
using testing::thrown_by;
using testing::write_bytes;

Imported import_images(const fs::path& from, const fs::path& data_dir, const ParameterTexts& parameters = {}) {
  return import_task("custom_images", from, data_dir, parameters);
}

/// A gray image of 2 x 3 pixels that begins with `first`.
void write_png(const fs::path& path, uint8_t first, int height = 2, int width = 3) {
  fs::create_directories(path.parent_path());
  std::vector<uint8_t> pixels(static_cast<size_t>(height * width), 200);
  pixels[0] = first;
  const std::vector<std::byte> bytes = encode_gray_png(pixels, height, width);
  write_bytes(path, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

void write_splits(const fs::path& root) {
  write_png(root / "train/dog/b.png", 1);
  write_png(root / "train/dog/a.PNG", 2);
  write_png(root / "train/cat/z.png", 3);
  write_png(root / "validation/cat/z.png", 4);
  write_png(root / "test/dog/z.png", 5);
  write_bytes(root / "train/cat/notes.txt", "no image");
}

TEST(CustomImagesTest, FoldersAreSplitsAndLabels) {
  const TemporaryDirectory directory;
  write_splits(directory / "f/pets");
  const Imported imported = import_images(directory / "f", directory / "d");
  const Dataset& dataset = imported.dataset;
  EXPECT_THAT(dataset.manifest().class_names, ElementsAre("cat", "dog"));
  EXPECT_EQ(dataset.manifest().examples, (SplitSizes{.train = 3, .validation = 1, .test = 1}));
  EXPECT_EQ(dataset.manifest().nominal_length, 6);
  EXPECT_EQ(std::get<int64_t>(dataset.manifest().parameters.at("height")), 2);
  EXPECT_EQ(std::get<int64_t>(dataset.manifest().parameters.at("width")), 3);
  EXPECT_THAT(dataset.train().tokens(0), ElementsAre(3, 200, 200, 200, 200, 200)) << "cat/z.png is first by name";
  EXPECT_EQ(dataset.train().tokens(1)[0], 2);
  EXPECT_EQ(dataset.train().label(2), 1);
  EXPECT_THAT(imported.notes, ElementsAre("2 classes: cat, dog"));
  testing::write_archive_of(directory / "pets.zip", directory / "f");
  const Dataset streamed = import_images(directory / "pets.zip", directory / "s", {{"task.source_name", "f"}}).dataset;
  EXPECT_EQ(read_bytes(streamed.directory() / kManifestFile), read_bytes(dataset.directory() / kManifestFile));
}

TEST(CustomImagesTest, WithoutSplitsTheSeedDecides) {
  const TemporaryDirectory directory;
  for (int i = 0; i < 100; ++i) {
    write_png(directory / "f" / std::to_string(i % 4) / (std::to_string(i) + ".png"), static_cast<uint8_t>(i));
  }
  const Imported imported = import_images(directory / "f", directory / "d");
  EXPECT_EQ(imported.dataset.manifest().examples, (SplitSizes{.train = 80, .validation = 10, .test = 10}));
  EXPECT_EQ(imported.dataset.num_classes(), 4);
  EXPECT_THAT(imported.notes, ElementsAre("4 classes: 0, 1, 2, 3", HasSubstr("of each ten images one")));
}

TEST(CustomImagesTest, ColoursBecomeGrayAsAskedFor) {
  const TemporaryDirectory directory;
  std::vector<uint8_t> green(64 * 3, 0);
  for (size_t i = 1; i < green.size(); i += 3) green[i] = 100;
  const std::string file = testing::encode_jpeg(green, 8, 8, 3);
  for (const char* name : {"train/a/1.jpg", "train/b/1.jpeg", "test/a/1.JPG"}) {
    fs::create_directories((directory / "f" / name).parent_path());
    write_bytes(directory / "f" / name, file);
  }
  const int tf = import_images(directory / "f", directory / "d").dataset.test().tokens(0)[0];
  const int pil =
      import_images(directory / "f", directory / "d", {{"task.grayscale", "pil"}}).dataset.test().tokens(0)[0];
  const JpegImage decoded = decode_jpeg(std::as_bytes(std::span(file.data(), file.size())), "x.jpg", 8);
  EXPECT_EQ(tf, to_gray(Grayscale::kTf, decoded.pixels[0], decoded.pixels[1], decoded.pixels[2]));
  EXPECT_EQ(pil, to_gray(Grayscale::kPil, decoded.pixels[0], decoded.pixels[1], decoded.pixels[2]));
  EXPECT_EQ(tf + 1, pil) << "one cuts off, the other rounds";
}

TEST(CustomImagesTest, AnImageOfAnotherSizeIsNamed) {
  const TemporaryDirectory directory;
  write_splits(directory / "f");
  write_png(directory / "f/train/dog/c.png", 1, 3, 2);
  EXPECT_THAT(thrown_by<DataError>([&] { import_images(directory / "f", directory / "d"); }).what(),
              HasSubstr("train/dog/c.png` has 2 x 3 pixels"));
  EXPECT_FALSE(fs::exists(directory / "d/custom_images"));
}

TEST(CustomImagesTest, SplitsThatSomeImagesLackAreRefused) {
  const TemporaryDirectory directory;
  write_splits(directory / "f");
  write_png(directory / "f/docs/logo.png", 1);
  const auto stray = thrown_by<DataError>([&] { import_images(directory / "f", directory / "d"); });
  EXPECT_THAT(stray.what(), HasSubstr("f/docs/logo.png` is in no folder of a split"));
  EXPECT_THAT(stray.hint(), HasSubstr("train/LABEL/"));
  write_png(directory / "g/train/1.png", 1);
  write_png(directory / "g/test/2.png", 1);
  EXPECT_THAT(thrown_by<DataError>([&] { import_images(directory / "g", directory / "d"); }).what(),
              HasSubstr("g/test/2.png` is in a folder of a split, but in none of a label"));
  EXPECT_FALSE(fs::exists(directory / "d/custom_images"));
}

TEST(CustomImagesTest, WhatIsPassedOverIsTold) {
  const TemporaryDirectory directory;
  write_splits(directory / "f");
  write_png(directory / "f/train/.ipynb_checkpoints/a-checkpoint.png", 1);
  write_png(directory / "f/.cache/cat/a.png", 1);
  write_bytes(directory / "f/train/dog/photo.webp", "RIFF");
  write_bytes(directory / "f/train/dog/scan.TIFF", "II*");
  testing::write_archive_of(directory / "f.tar.gz", directory / "f");
  for (const char* from : {"f", "f.tar.gz"}) {
    const Imported imported = import_images(directory / from, directory / "d");
    EXPECT_THAT(imported.dataset.manifest().class_names, ElementsAre("cat", "dog"));
    EXPECT_THAT(imported.notes,
                ElementsAre(HasSubstr("passed over 2 images that are neither PNG nor JPEG"), "2 classes: cat, dog"));
  }
}

TEST(CustomImagesTest, FoldersOfSplitsHaveOtherNames) {
  const TemporaryDirectory directory;
  write_png(directory / "f/Train/cat/1.png", 1);
  write_png(directory / "f/Train/dog/1.png", 1);
  write_png(directory / "f/valid/cat/1.png", 1);
  write_png(directory / "f/TEST/cat/1.png", 1);
  EXPECT_EQ(import_images(directory / "f", directory / "d").dataset.manifest().examples,
            (SplitSizes{.train = 2, .validation = 1, .test = 1}));
}

TEST(CustomImagesTest, DamagedImagesAndOddFoldersAreRefused) {
  const TemporaryDirectory directory;
  write_splits(directory / "f");
  write_bytes(directory / "f/train/dog/b.png", "no png");
  EXPECT_THAT(thrown_by<DataError>([&] { import_images(directory / "f", directory / "d"); }).what(),
              HasSubstr("train/dog/b.png`"));
  write_bytes(directory / "f/train/dog/b.png", "");
  EXPECT_THROW(import_images(directory / "f", directory / "d"), DataError);
  write_png(directory / "g/only/1.png", 1);
  EXPECT_THAT(thrown_by<DataError>([&] { import_images(directory / "g", directory / "d"); }).what(),
              HasSubstr("a task needs two or more"));
  EXPECT_THAT(thrown_by<DataError>([&] { import_images(directory / "g/only", directory / "d"); }).what(),
              HasSubstr("does not hold labelled images"));
}

TEST(CustomImagesTest, ExportedImagesOfATaskAreReadBack) {
  const TemporaryDirectory directory;
  fs::create_directory(directory / "cifar");
  for (const char* name :
       {"data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"}) {
    std::string bytes;
    for (int label = 0; label < 10; ++label) {
      bytes += static_cast<char>(label);
      for (int i = 0; i < 3072; ++i) bytes += static_cast<char>(i * (label + 3) + name[5]);
    }
    write_bytes(directory / "cifar" / (std::string(name) + ".bin"), bytes);
  }
  const Task& task = task_named("image");
  task.import({.from = directory / "cifar"}, directory / "d", {});
  const Dataset images = Dataset::open(directory / "d", "image");
  fs::create_directory(directory / "png");
  for (const SplitName split : {SplitName::kTrain, SplitName::kTest}) {
    task.export_images(images, split, directory / "png" / std::string(split_text(split)), {});
  }
  EXPECT_THROW(task.export_images(images, SplitName::kTest, directory / "png/test/", {}), UsageError);
  const Dataset again = import_images(directory / "png", directory / "e").dataset;
  ASSERT_EQ(again.test().size(), 10);
  for (int64_t i = 0; i < 10; ++i) {
    EXPECT_EQ(again.test().label(i), images.test().label(i));
    EXPECT_TRUE(std::ranges::equal(again.test().tokens(i), images.test().tokens(i))) << i;
  }
}

TEST(CustomImagesTest, AnInterruptedExportLeavesNothing) {
  const TemporaryDirectory directory;
  write_splits(directory / "f");
  const Dataset dataset = import_images(directory / "f", directory / "d").dataset;
  const auto stop = [](uint64_t, uint64_t) { throw std::runtime_error("stop"); };
  EXPECT_THROW(task_named("custom_images").export_images(dataset, SplitName::kTrain, directory / "out/x", stop),
               std::runtime_error);
  EXPECT_TRUE(fs::is_empty(directory / "out"));
}

TEST(CustomImagesTest, ExportedImagesAreImportedAgain) {
  const TemporaryDirectory directory;
  write_splits(directory / "f");
  const Dataset dataset = import_images(directory / "f", directory / "d").dataset;
  fs::create_directory(directory / "png");
  for (const SplitName split : kSplitNames) {
    task_named("custom_images").export_images(dataset, split, directory / "png" / std::string(split_text(split)), {});
  }
  const Dataset again = import_images(directory / "png", directory / "e").dataset;
  EXPECT_EQ(again.manifest().class_names, dataset.manifest().class_names);
  EXPECT_EQ(again.manifest().dataset_sha256, dataset.manifest().dataset_sha256);
}

TEST(CustomImagesTest, AnAlteredManifestLeadsNoExportAstray) {
  const TemporaryDirectory directory;
  write_splits(directory / "f");
  const Dataset dataset = import_images(directory / "f", directory / "d").dataset;
  const fs::path file = dataset.directory() / kManifestFile;
  const std::string text = read_bytes(file);
  const auto error_with = [&](const std::string& from, const std::string& to) -> std::string {
    std::string altered = text;
    altered.replace(altered.find(from), from.size(), to);
    write_bytes(file, altered);
    const Dataset opened = Dataset::open(directory / "d", "custom_images");
    return thrown_by<DataError>(
               [&] { task_named("custom_images").export_images(opened, SplitName::kTrain, directory / "out/x", {}); })
        .what();
  };
  const std::string name = dataset.manifest().class_names[0];
  EXPECT_THAT(error_with("\"" + name + "\"", "\"../../away\""), HasSubstr("cannot be a folder"));
  EXPECT_THAT(error_with("\"height\": 2", "\"height\": 20"), HasSubstr("not of the images"));
  EXPECT_THAT(error_with("\"height\": 2", "\"heigh\": 2"), HasSubstr("height is missing"));
  EXPECT_FALSE(fs::exists(directory / "out"));
}

TEST(CustomImagesTest, Paths) {
  const auto parsed = custom::parse_image_path("a/val/cat/x.jpeg");
  ASSERT_TRUE(parsed.has_value());
  EXPECT_EQ(parsed->root_bytes, 2U);
  EXPECT_EQ(parsed->split, SplitName::kValidation);
  EXPECT_EQ(parsed->label, "cat");
  const auto plain = custom::parse_image_path("a/cat/x.png");
  ASSERT_TRUE(plain.has_value());
  EXPECT_EQ(plain->root_bytes, 2U);
  EXPECT_FALSE(plain->split.has_value());
  for (const char* path : {"", "/", "x.png", "/x.png", "a//x.png", "cat/x.gif", "cat/.x.png", "cat/x.png/"}) {
    EXPECT_FALSE(custom::parse_image_path(path).has_value()) << path;
  }
}

}  // namespace
}  // namespace lra::tasks
