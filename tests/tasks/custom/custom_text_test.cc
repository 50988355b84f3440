// The task custom_text: classes, vocabulary, length and splits come from the data.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "engine/errors.h"
#include "tasks/dataset.h"
#include "tasks/encoding.h"
#include "tasks/export.h"
#include "tasks/registry.h"
#include "tests/tasks/archive_builder.h"
#include "tests/tasks/importing.h"
#include "tests/temporary_directory.h"

namespace lra::tasks {
namespace {

namespace fs = std::filesystem;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::read_bytes;
using testing::TemporaryDirectory;
using testing::thrown_by;
using testing::write_bytes;

Imported import_texts(const fs::path& from, const fs::path& data_dir, const ParameterTexts& parameters = {}) {
  return import_task("custom_text", from, data_dir, parameters);
}

std::string example(const Split& split, int64_t i) {
  return std::to_string(split.label(i)) + ":" + decode_bytes(split.tokens16(i));
}

TEST(CustomTextTest, ThreeFilesAreThreeSplits) {
  const TemporaryDirectory directory;
  fs::create_directory(directory / "f");
  write_bytes(directory / "f/train.tsv", "\xef\xbb\xbfspam\tbuy\tnow\r\nham\thello\n");
  write_bytes(directory / "f/validation.tsv", "ham\thi");
  write_bytes(directory / "f/test.tsv", "eggs\t\nspam\tcheap cheap\n");
  const Imported imported = import_texts(directory / "f", directory / "d");
  const Dataset& dataset = imported.dataset;
  EXPECT_THAT(dataset.manifest().class_names, ElementsAre("eggs", "ham", "spam"));
  EXPECT_EQ(dataset.num_classes(), 3);
  EXPECT_EQ(dataset.vocab_size(), 257);
  EXPECT_EQ(dataset.manifest().nominal_length, 11);
  EXPECT_EQ(example(dataset.train(), 0), "2:buy\tnow");
  EXPECT_EQ(example(dataset.train(), 1), "1:hello");
  EXPECT_EQ(example(dataset.validation(), 0), "1:hi");
  EXPECT_EQ(example(dataset.test(), 0), "0:");
  EXPECT_EQ(dataset.manifest().source.counts.at("empty_texts"), 1);
  EXPECT_FALSE(dataset.manifest().parameters.contains("split_seed"));
  EXPECT_EQ(std::get<std::string>(dataset.manifest().parameters.at("source_name")), "f");
  EXPECT_THAT(imported.notes,
              ElementsAre("3 classes: eggs, ham, spam", "1 classes without an example to train on: eggs",
                          "1 texts are empty and kept "
                          "without tokens"));
  testing::write_archive_of(directory / "f.tar.gz", directory / "f");
  EXPECT_EQ(import_texts(directory / "f.tar.gz", directory / "s").dataset.manifest().dataset_sha256,
            dataset.manifest().dataset_sha256);
}

/// `count` lines "k<TAB>text number", k in turn 0, 1, 2.
std::string numbered_lines(int count) {
  std::string lines;
  for (int i = 0; i < count; ++i) lines += std::to_string(i % 3) + "\ttext " + std::to_string(i) + "\n";
  return lines;
}

TEST(CustomTextTest, OneFileIsSplitBySeed) {
  const TemporaryDirectory directory;
  write_bytes(directory / "all.txt", numbered_lines(205));
  const Imported imported = import_texts(directory / "all.txt", directory / "d");
  const Dataset& dataset = imported.dataset;
  EXPECT_EQ(dataset.manifest().examples.total(), 205);
  EXPECT_NEAR(static_cast<double>(dataset.validation().size()), 20.5, 1);
  EXPECT_NEAR(static_cast<double>(dataset.test().size()), 20.5, 1);
  std::set<std::string> distinct;
  for (const SplitName name : kSplitNames) {
    for (int64_t i = 0; i < dataset.split(name).size(); ++i) distinct.insert(example(dataset.split(name), i));
  }
  EXPECT_EQ(distinct.size(), 205U);
  EXPECT_EQ(std::get<int64_t>(dataset.manifest().parameters.at("split_seed")), 42);
  EXPECT_THAT(imported.notes, Contains(HasSubstr("of each ten lines one")));
  EXPECT_NE(import_texts(directory / "all.txt", directory / "e", {{"task.split_seed", "1"}})
                .dataset.manifest()
                .dataset_sha256,
            dataset.manifest().dataset_sha256);
}

TEST(CustomTextTest, WithoutValidationFileATenthOfTrainIsTaken) {
  const TemporaryDirectory directory;
  fs::create_directory(directory / "f");
  write_bytes(directory / "f/train.tsv", numbered_lines(100));
  write_bytes(directory / "f/test.tsv", numbered_lines(30));
  const Imported imported = import_texts(directory / "f", directory / "d");
  EXPECT_EQ(imported.dataset.manifest().examples, (SplitSizes{.train = 90, .validation = 10, .test = 30}));
  EXPECT_THAT(imported.notes, Contains(HasSubstr("no validation.tsv")));
}

TEST(CustomTextTest, CharactersAreThoseOfTheTrainSplit) {
  const TemporaryDirectory directory;
  fs::create_directory(directory / "f");
  write_bytes(directory / "f/train.tsv", "0\taé\n1\taé✓\n");
  write_bytes(directory / "f/validation.tsv", "0\tb\n");
  write_bytes(directory / "f/test.tsv",
              "0\tb\xff"
              "a✓éa\n");
  const Dataset dataset =
      import_texts(directory / "f", directory / "d",
                   {{"task.encoding", "characters"}, {"task.min_count", "2"}, {"task.max_length", "5"}})
          .dataset;
  EXPECT_THAT(dataset.manifest().vocabulary, ElementsAre("<pad>", "<unk>", "a", "é"));
  EXPECT_THAT(dataset.test().tokens16(0), ElementsAre(1, 1, 2, 1, 3));
  EXPECT_EQ(dataset.manifest().nominal_length, 5);
  EXPECT_EQ(dataset.manifest().source.counts.at("invalid_utf8_bytes"), 1);
}

TEST(CustomTextTest, TextsThatAreCutAreCounted) {
  const TemporaryDirectory directory;
  fs::create_directory(directory / "f");
  write_bytes(directory / "f/train.tsv", "a\t12345\nb\t1234\n");
  write_bytes(directory / "f/test.tsv", "a\téééé\nb\tééééé\n");
  const Imported bytes = import_texts(directory / "f", directory / "d", {{"task.max_length", "4"}});
  EXPECT_EQ(bytes.dataset.manifest().source.counts.at("cut_texts"), 3);
  EXPECT_THAT(bytes.notes, Contains("3 texts are longer than 4 bytes and cut there (task.max_length)"));
  const Imported characters =
      import_texts(directory / "f", directory / "d", {{"task.max_length", "4"}, {"task.encoding", "characters"}});
  EXPECT_EQ(characters.dataset.manifest().source.counts.at("cut_texts"), 2);
}

TEST(CustomTextTest, ExportedLinesAreImportedAgain) {
  const TemporaryDirectory directory;
  fs::create_directory(directory / "f");
  write_bytes(directory / "f/train.tsv", "spam\tbuy\tnow \r\r\nham\tcaf\xc3\xa9 <\xff\x01>\n");
  write_bytes(directory / "f/validation.tsv", "ham\thi\n");
  write_bytes(directory / "f/test.tsv", "ham\tcaf\xc3\xa9\n");
  const auto export_all = [&](const Dataset& dataset) {
    fs::create_directories(directory / "again");
    for (const SplitName split : kSplitNames) {
      export_tsv(task_named("custom_text"), dataset, split,
                 directory / "again" / (std::string(split_text(split)) + ".tsv"), {});
    }
  };
  const Dataset dataset = import_texts(directory / "f", directory / "d").dataset;
  export_all(dataset);
  EXPECT_EQ(import_texts(directory / "again", directory / "e").dataset.manifest().dataset_sha256,
            dataset.manifest().dataset_sha256);
  export_all(import_texts(directory / "f", directory / "d", {{"task.encoding", "characters"}, {"task.min_count", "1"}})
                 .dataset);
  EXPECT_EQ(read_bytes(directory / "again/train.tsv"), "spam\tbuy\tnow \r\r\nham\tcaf\xc3\xa9 <\xef\xbf\xbd\x01>\r\n");
}

TEST(CustomTextTest, WhatCannotBeMeantIsRefused) {
  const TemporaryDirectory directory;
  const auto error_with = [&](const std::string& lines) {
    write_bytes(directory / "x.tsv", lines);
    const auto error = thrown_by<DataError>([&] { import_texts(directory / "x.tsv", directory / "d"); });
    EXPECT_FALSE(error.hint().empty());
    return std::string(error.what());
  };
  EXPECT_THAT(error_with("a\tx\nno tab\n"),
              HasSubstr("x.tsv`, line 2, column 7: expected a tab and the column `text`"));
  EXPECT_THAT(error_with("a\tx\n\ty\n"), HasSubstr("line 2, column 1: the label is empty"));
  EXPECT_THAT(error_with("a\tx\n" + std::string(200, 'l') + "\ty\n"), HasSubstr("line 2, column 1: the label"));
  EXPECT_THAT(error_with("a\tx\na\ty\n"), HasSubstr("have 1 labels"));
  std::string many;
  for (int i = 0; i < 257; ++i) many += std::to_string(i) + "\tx\n";
  EXPECT_THAT(error_with(many), HasSubstr("line 257, column 1: `256` would be one more than the 256 labels"));
  fs::create_directory(directory / "f");
  write_bytes(directory / "f/train.tsv", "a\tx\nb\ty\n");
  EXPECT_THAT(thrown_by<DataError>([&] { import_texts(directory / "f", directory / "d"); }).what(),
              HasSubstr("lacks test.tsv"));
  write_bytes(directory / "f/test.tsv", "");
  EXPECT_THAT(thrown_by<DataError>([&] { import_texts(directory / "f", directory / "d"); }).what(),
              HasSubstr("no examples for the test split"));
  EXPECT_FALSE(fs::exists(directory / "d/custom_text"));
}

TEST(CustomTextTest, WhereNothingCanBeWrittenIsToldBeforeTheTextsAreRead) {
  const TemporaryDirectory directory;
  write_bytes(directory / "x.tsv", "a\tx\nno tab\n");
  write_bytes(directory / "taken", "");
  EXPECT_THAT(thrown_by<ResourceError>([&] { import_texts(directory / "x.tsv", directory / "taken"); }).what(),
              HasSubstr("taken"));
  EXPECT_THROW(import_texts(directory / "none.tsv", directory / "d"), Error);
  EXPECT_FALSE(fs::exists(directory / "d")) << "of texts that are not there nothing is begun";
}

TEST(CustomTextTest, LongLinesAreCutAndDoNotTakeMemory) {
  const TemporaryDirectory directory;
  write_bytes(directory / "x.tsv", numbered_lines(30) + "0\t" + std::string(3 << 20, 'z') + "\n");
  const Dataset dataset = import_texts(directory / "x.tsv", directory / "d", {{"task.max_length", "100"}}).dataset;
  EXPECT_EQ(dataset.manifest().nominal_length, 100);
}

}  // namespace
}  // namespace lra::tasks
