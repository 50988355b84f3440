// The task Text: its layout, its encodings, and the same dataset from a directory and from archives.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/errors.h"
#include "tasks/dataset.h"
#include "tasks/encoding.h"
#include "tasks/export.h"
#include "tasks/registry.h"
#include "tasks/summary.h"
#include "tasks/text/reviews.h"
#include "tests/tasks/archive_builder.h"
#include "tests/tasks/importing.h"
#include "tests/temporary_directory.h"

namespace lra::tasks {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::read_bytes;
using testing::TemporaryDirectory;
using testing::thrown_by;
using testing::write_bytes;

void write_review(const fs::path& path, std::string_view document) {
  fs::create_directories(path.parent_path());
  write_bytes(path, document);
}

/// aclImdb with a few reviews, among files that are none.
void write_reviews(const fs::path& root) {
  write_review(root / "aclImdb/train/neg/10_2.txt", "awful");
  write_review(root / "aclImdb/train/neg/9_1.txt", "bad\xff!");
  write_review(root / "aclImdb/train/pos/0_10.txt", std::string(20, 'x') + "caf\xc3\xa9");
  write_review(root / "aclImdb/train/pos/0_9.txt", "good");
  write_review(root / "aclImdb/train/unsup/0_0.txt", "unlabelled");
  write_review(root / "aclImdb/train/pos/urls.txt", "no review");
  write_review(root / "aclImdb/test/neg/3_4.txt", "poor");
  write_review(root / "aclImdb/test/pos/1_8.txt", "");
  write_review(root / "aclImdb/README", "read me");
}

Imported import_text(const fs::path& from, const fs::path& data_dir, const ParameterTexts& parameters = {}) {
  return import_task("text", from, data_dir, parameters);
}

std::vector<std::string> documents(const Split& split) {
  std::vector<std::string> documents;
  for (int64_t i = 0; i < split.size(); ++i) {
    documents.push_back(std::to_string(split.label(i)) + decode_bytes(split.tokens16(i)));
  }
  return documents;
}

TEST(TextTest, FactsAreThoseOfTheBenchmark) {
  const TaskFacts& facts = task_named("text").facts();
  EXPECT_EQ(facts.vocab_size(), 257);
  EXPECT_EQ(facts.num_classes, 2);
  EXPECT_EQ(facts.nominal_length, 4000);
  EXPECT_EQ(facts.default_examples, (SplitSizes{.train = 25'000, .validation = 0, .test = 25'000}));
  EXPECT_EQ(facts.paper_validation, ValidationSource::test);
}

TEST(TextTest, ReviewsAreOrderedByLabelAndNumberAndKeptWhole) {
  const TemporaryDirectory directory;
  write_reviews(directory / "from");
  const Imported imported = import_text(directory / "from", directory / "d");
  EXPECT_THAT(documents(imported.dataset.train()),
              ElementsAre("0bad\xff!", "0awful", "1good", "1" + std::string(20, 'x') + "caf\xc3\xa9"));
  EXPECT_THAT(documents(imported.dataset.test()), ElementsAre("0poor", "1"));
  EXPECT_EQ(imported.dataset.validation().size(), 0);
  EXPECT_EQ(imported.dataset.train().tokens16(1)[0], 'a' + 1);
  const Manifest& manifest = imported.dataset.manifest();
  EXPECT_EQ(std::get<std::string>(manifest.parameters.at("encoding")), "bytes");
  EXPECT_EQ(manifest.source.counts.at("empty_files"), 1);
  EXPECT_THAT(manifest.class_names, ElementsAre("neg", "pos"));
  EXPECT_THAT(imported.notes, Contains(AllOf(HasSubstr("1 reviews are empty"), HasSubstr("pos/1_8.txt"))));
  EXPECT_THAT(imported.notes, Contains(HasSubstr("the train split has 4 examples; the published data")));
  EXPECT_NO_THROW(imported.dataset.verify({}));
}

TEST(TextTest, ArchivesGiveTheSameDatasetAsTheTree) {
  const TemporaryDirectory directory;
  write_reviews(directory / "from");
  const Imported tree = import_text(directory / "from/aclImdb", directory / "d");
  for (const char* name : {"x.tar", "aclImdb_v1.tar.gz", "x.tar.xz", "x.zip"}) {
    testing::write_archive_of(directory / name, directory / "from");
    for (const char* encoding : {"bytes", "characters"}) {
      const ParameterTexts parameters{{"task.encoding", encoding}};
      const Imported unpacked = import_text(directory / "from", directory / "u", parameters);
      const Imported streamed = import_text(directory / name, directory / "s", parameters);
      EXPECT_EQ(read_bytes(streamed.dataset.directory() / kManifestFile),
                read_bytes(unpacked.dataset.directory() / kManifestFile))
          << name;
    }
  }
  EXPECT_EQ(import_text(directory / "x.tar", directory / "s").dataset.manifest().dataset_sha256,
            tree.dataset.manifest().dataset_sha256);
}

TEST(TextTest, CharactersAreCountedInTheTrainSplitOnly) {
  const TemporaryDirectory directory;
  write_reviews(directory / "from");
  write_review(directory / "from/aclImdb/train/pos/5_9.txt", "\xc3\xa9\xc3\xa9\xc3\xa9 e" + std::string(14, 'e'));
  for (int i = 0; i < 12; ++i) {
    write_review(directory / "from/aclImdb/train/pos" / (std::to_string(100 + i) + "_9.txt"), "\xc3\xa9");
  }
  write_review(directory / "from/aclImdb/test/pos/7_9.txt", "xq\xc3\xa9" + std::string(40, 'q'));
  const Imported imported =
      import_text(directory / "from", directory / "d", {{"task.encoding", "characters"}, {"task.max_length", "4"}});
  const Manifest& manifest = imported.dataset.manifest();
  EXPECT_THAT(manifest.vocabulary, ElementsAre("<pad>", "<unk>", "e", "x", "\xc3\xa9"))
      << "15 times or more: e 15, x 20, é 1 + 3 + 12; not q, which is in test only";
  EXPECT_EQ(manifest.source.counts.at("invalid_utf8_bytes"), 1);
  EXPECT_EQ(manifest.nominal_length, 4);
  EXPECT_THAT(imported.notes, Contains(AllOf(HasSubstr("1 bytes are not UTF-8"), HasSubstr("neg/9_1.txt"))));
  EXPECT_THAT(imported.dataset.train().tokens16(0), ElementsAre(1, 1, 1, 1)) << "b a d and a byte that is none";
  EXPECT_THAT(imported.dataset.test().tokens16(2), ElementsAre(3, 1, 4, 1)) << "x q é q";
}

TEST(TextTest, WhatIsNotTheLayoutIsRefused) {
  const TemporaryDirectory directory;
  write_review(directory / "from/train/good/1_2.txt", "x");
  EXPECT_THAT(thrown_by<DataError>([&] { import_text(directory / "from", directory / "d"); }).what(),
              HasSubstr("does not hold the IMDb reviews"));
  write_review(directory / "from/train/pos/1_2.txt", "x");
  EXPECT_THAT(thrown_by<DataError>([&] { import_text(directory / "from", directory / "d"); }).what(),
              HasSubstr("no examples for the test split"));
  EXPECT_FALSE(fs::exists(directory / "d/text"));
  EXPECT_THROW(import_text(directory / "from", directory / "d", {{"task.encoding", "words"}}), UsageError);
  EXPECT_THROW(import_text(directory / "from", directory / "d", {{"task.length", "1"}}), UsageError);
}

TEST(TextTest, PathsOfReviews) {
  const auto parsed = text::parse_path("a/train/b/test/pos/12_7.txt");
  ASSERT_TRUE(parsed.has_value());
  EXPECT_EQ(parsed->root_bytes, 10U);
  EXPECT_EQ(parsed->review.split, SplitName::kTest);
  EXPECT_EQ(parsed->review.label, text::kPositive);
  EXPECT_EQ(parsed->review.id, 12U);
  EXPECT_EQ(parsed->review.rating, 7U);
  for (const char* path : {"", "/", "12_7.txt", "pos/12_7.txt", "train/unsup/1_0.txt", "train/pos/12.txt",
                           "train/pos/_.txt", "train/pos/1_2", "train/pos/x1_2.txt", "train/pos/-1_2.txt",
                           "train/pos/1_2.txt/", "train/pos/99999999999999999999_1.txt", "xtrain/pos/1_2.txt"}) {
    EXPECT_FALSE(text::parse_path(path).has_value()) << path;
  }
}

TEST(TextTest, ExportedLinesAreReadAsTextsOfOnesOwn) {
  const TemporaryDirectory directory;
  write_reviews(directory / "from");
  const Dataset dataset =
      import_text(directory / "from", directory / "d", {{"task.source_name", "IMDb, by hand"}}).dataset;
  EXPECT_EQ(std::get<std::string>(dataset.manifest().parameters.at("source_name")), "IMDb, by hand");
  fs::create_directory(directory / "lines");
  for (const SplitName split : {SplitName::kTrain, SplitName::kTest})
    export_tsv(task_named("text"), dataset, split, directory / "lines" / (std::string(split_text(split)) + ".tsv"), {});
  write_bytes(directory / "lines/validation.tsv", "");
  EXPECT_EQ(read_bytes(directory / "lines/test.tsv"), "neg\tpoor\r\npos\t\r\n");
  const Dataset again = import_task("custom_text", directory / "lines", directory / "d").dataset;
  EXPECT_EQ(documents(again.train()), documents(dataset.train()));
}

TEST(TextTest, WhatNoLineCanHoldIsNotExported) {
  const TemporaryDirectory directory;
  write_reviews(directory / "from");
  write_review(directory / "from/aclImdb/test/neg/3_4.txt", "two\nlines");
  const Dataset dataset = import_text(directory / "from", directory / "d").dataset;
  const auto export_test = [&](const Dataset& from) {
    export_tsv(task_named("text"), from, SplitName::kTest, directory / "test.tsv", {});
  };
  const auto error = thrown_by<UsageError>([&] { export_test(dataset); });
  EXPECT_THAT(error.what(), HasSubstr("example 0 of test holds a line feed"));
  EXPECT_THAT(error.hint(), HasSubstr("--format npy"));
  const fs::path tokens = dataset.directory() / "test.tokens.npy";
  std::string bytes = read_bytes(tokens);
  write_bytes(tokens, bytes.replace(bytes.size() - 2, 2, "\x7f\x7f"));  // the last id
  EXPECT_THAT(thrown_by<DataError>([&] { export_test(Dataset::open(directory / "d", "text")); }).what(),
              HasSubstr("no characters"));
  EXPECT_FALSE(fs::exists(directory / "test.tsv"));
}

TEST(TextTest, BagOfBytesFindsALetterThatTellsTheLabel) {
  const TemporaryDirectory directory;
  for (const char* split : {"train", "test"}) {
    for (int i = 0; i < 60; ++i) {
      const std::string filler(static_cast<size_t>(10 + i % 7), 'a');
      write_review(directory / "from" / split / "neg" / (std::to_string(i) + "_1.txt"), "q" + filler);
      write_review(directory / "from" / split / "pos" / (std::to_string(i) + "_8.txt"), filler + "z");
    }
  }
  const Imported imported = import_text(directory / "from", directory / "d");
  const auto baselines = task_named("text").shortcut_baselines(imported.dataset);
  ASSERT_EQ(baselines.size(), 2U);
  EXPECT_EQ(baselines[0].name, "majority");
  EXPECT_DOUBLE_EQ(baselines[0].accuracy, 0.5);
  EXPECT_EQ(baselines[1].name, "bag_of_bytes");
  EXPECT_DOUBLE_EQ(baselines[1].accuracy, 1);
  EXPECT_THAT(summary_table(task_named("text"), imported.dataset), HasSubstr("(neg)"));
}

}  // namespace
}  // namespace lra::tasks
