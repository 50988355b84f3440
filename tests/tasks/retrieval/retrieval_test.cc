// The task Retrieval: rows, lengths, and the same dataset from a directory and from an archive.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/errors.h"
#include "tasks/dataset.h"
#include "tasks/encoding.h"
#include "tasks/export.h"
#include "tasks/registry.h"
#include "tasks/retrieval/overlap.h"
#include "tasks/retrieval/pairs.h"
#include "tests/tasks/archive_builder.h"
#include "tests/tasks/importing.h"
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

void write_files(const fs::path& directory, const std::string& train, const std::string& eval,
                 const std::string& test) {
  fs::create_directories(directory);
  write_bytes(directory / "new_aan_pairs.train.tsv", train);
  write_bytes(directory / "new_aan_pairs.eval.tsv", eval);
  write_bytes(directory / "new_aan_pairs.test.tsv", test);
}

Dataset import_retrieval(const fs::path& from, const fs::path& data_dir, const ParameterTexts& parameters = {}) {
  return import_task("retrieval", from, data_dir, parameters).dataset;
}

std::string document(const Split& split, int64_t example, int input) {
  return decode_bytes(split.tokens16(example, input));
}

TEST(RetrievalTest, FactsAreThoseOfTheBenchmark) {
  const TaskFacts& facts = task_named("retrieval").facts();
  EXPECT_EQ(facts.vocab_size(), 257);
  EXPECT_EQ(facts.inputs_per_example, 2);
  EXPECT_EQ(facts.nominal_length, 4000);
  EXPECT_EQ(facts.default_examples, (SplitSizes{.train = 147'086, .validation = 18'090, .test = 17'437}));
  EXPECT_EQ(facts.paper_validation, ValidationSource::own);
}

TEST(RetrievalTest, RowsBecomePairsAndQuotesMeanNothing) {
  const TemporaryDirectory directory;
  using namespace std::string_literals;
  write_files(directory / "tsv_data", "1.0\tP1\tP2\t\"first\tsecond\"\r\n0.0\tP3\tP4\ta\0b\xff\t\n"s,
              "0.0\t1\t2\te1\te2\n", "1.0\t1\t2\tt1\tt2");
  const Dataset dataset = import_retrieval(directory.path(), directory / "d");
  EXPECT_EQ(dataset.train().size(), 2);
  EXPECT_EQ(dataset.train().label(0), 1);
  EXPECT_EQ(document(dataset.train(), 0, 0), "\"first");
  EXPECT_EQ(document(dataset.train(), 0, 1), "second\"");
  EXPECT_EQ(document(dataset.train(), 1, 0), "a\0b\xff"s) << "any byte may come";
  EXPECT_EQ(document(dataset.train(), 1, 1), "");
  EXPECT_EQ(document(dataset.validation(), 0, 1), "e2");
  EXPECT_EQ(document(dataset.test(), 0, 0), "t1");
  EXPECT_EQ(std::get<std::string>(dataset.manifest().parameters.at("source_name")), "AAN");
  EXPECT_EQ(dataset.manifest().source.file_sha256.size(), 3U);
  EXPECT_NO_THROW(dataset.verify({}));
}

TEST(RetrievalTest, LabelsAreNumbersInAnyForm) {
  const TemporaryDirectory directory;
  const std::string good = "1.0\t1\t2\ta\tb\n";
  write_files(directory / "f", "1\t1\t2\ta\tb\n0\t1\t2\ta\tb\n1.00\t1\t2\ta\tb\n0e0\t1\t2\ta\tb\n", good, good);
  const Dataset dataset = import_retrieval(directory / "f", directory / "d");
  for (int64_t i = 0; i < 4; ++i) EXPECT_EQ(dataset.train().label(i), 1 - i % 2) << i;
}

TEST(RetrievalTest, OnlyTheFirstBytesAreKept) {
  const TemporaryDirectory directory;
  const std::string row = "1.0\t1\t2\t" + std::string(5000, 'a') + "\t" + std::string(3999, 'b') + "\n";
  write_files(directory / "f", row, row, row);
  const Dataset dataset = import_retrieval(directory / "f", directory / "d");
  EXPECT_EQ(dataset.train().length(0, 0), 4000);
  EXPECT_EQ(dataset.train().length(0, 1), 3999);
  const Dataset shorter = import_retrieval(directory / "f", directory / "s",
                                           {{"task.max_length", "7"}, {"task.source_name", "IMDb stand-in"}});
  EXPECT_EQ(shorter.manifest().nominal_length, 7);
  EXPECT_EQ(document(shorter.train(), 0, 0), "aaaaaaa");
  EXPECT_EQ(std::get<std::string>(shorter.manifest().parameters.at("source_name")), "IMDb stand-in");
  EXPECT_THROW(import_retrieval(directory / "f", directory / "s", {{"task.source_name", "a\nb"}}), UsageError);
}

TEST(RetrievalTest, AnArchiveOfTheReleaseGivesTheSameDataset) {
  const TemporaryDirectory directory;
  write_files(directory / "r/lra_release/lra_release/tsv_data", "1.0\t1\t2\ta\tb\n0.0\t1\t2\tc\td\n",
              "0.0\t1\t2\te\tf\n", "1.0\t1\t2\tg\th\n");
  const Dataset tree = import_retrieval(directory / "r", directory / "d");
  testing::write_archive_of(directory / "lra_release.gz", directory / "r");
  const Dataset streamed = import_retrieval(directory / "lra_release.gz", directory / "s");
  EXPECT_EQ(read_bytes(streamed.directory() / kManifestFile), read_bytes(tree.directory() / kManifestFile));
}

TEST(RetrievalTest, ExportedTextImportsToTheSameExamples) {
  const TemporaryDirectory directory;
  const std::string rows = "1.0\tx\ty\tone\t two \r\r\n0.0\tx\ty\t\t\n";
  write_files(directory / "f", rows, rows, rows);
  const Dataset first = import_retrieval(directory / "f", directory / "d");
  fs::create_directory(directory / "again");
  for (const SplitName split : kSplitNames) {
    export_tsv(task_named("retrieval"), first, split, directory / "again" / retrieval::official_file(split), {});
  }
  EXPECT_EQ(import_retrieval(directory / "again", directory / "e").manifest().dataset_sha256,
            first.manifest().dataset_sha256);
}

TEST(RetrievalTest, MalformedRowsAreRefusedWithLineAndColumn) {
  const TemporaryDirectory directory;
  const std::string good = "1.0\t1\t2\ta\tb\n";
  const auto error_with = [&](const std::string& row) {
    write_files(directory / "f", good + row, good, good);
    return std::string(thrown_by<DataError>([&] { import_retrieval(directory / "f", directory / "d"); }).what());
  };
  EXPECT_THAT(error_with("2\t1\t2\ta\tb\n"), HasSubstr("line 2, column 1: expected the label 0.0 or 1.0, found `2`"));
  EXPECT_THAT(error_with("1.0x\t1\t2\ta\tb\n"), HasSubstr("found `1.0x`"));
  EXPECT_THAT(error_with("\"1.0\"\t1\t2\ta\tb\n"), HasSubstr("line 2, column 1"));
  EXPECT_THAT(error_with("nan\x1b\t1\t2\ta\tb\n"), HasSubstr("found `nan\\x1b`"));
  EXPECT_THAT(error_with("1.0\t1\t2\ta\n"),
              HasSubstr("line 2, column 10: expected a tab and the column `text2` (5 of 5)"));
  EXPECT_THAT(error_with("\n"), HasSubstr("line 2, column 1: expected a tab and the column `id1`"));
  EXPECT_THAT(error_with("1.0\t1\t2\ta\tb\tc\n"), HasSubstr("line 2, column 12: expected the end of the line"));
  write_files(directory / "f", good, good, "");
  EXPECT_THAT(thrown_by<DataError>([&] { import_retrieval(directory / "f", directory / "d"); }).what(),
              HasSubstr("no examples for the test split"));
  fs::remove(directory / "f/new_aan_pairs.eval.tsv");
  EXPECT_THAT(thrown_by<DataError>([&] { import_retrieval(directory / "f", directory / "d"); }).what(),
              HasSubstr("lacks new_aan_pairs.eval.tsv"));
  EXPECT_FALSE(fs::exists(directory / "d/retrieval"));
}

/// Rows without end, as far as anyone reads.
class EndlessRow final : public ByteStream {
 public:
  explicit EndlessRow(uint64_t bytes) : left_(bytes) {}
  size_t read(std::span<std::byte> buffer) override {
    const size_t count = static_cast<size_t>(std::min<uint64_t>(left_, buffer.size()));
    std::fill_n(buffer.begin(), count, std::byte{'a'});
    left_ -= count;
    return count;
  }

 private:
  uint64_t left_;
};

TEST(RetrievalTest, AnOverlongFieldIsRefusedWithoutHoldingIt) {
  EndlessRow bytes(uint64_t{300} << 20);
  EXPECT_THAT(thrown_by<DataError>([&] {
                retrieval::read_pairs(bytes, "x.tsv", 4000, [](const auto&, const auto&) {});
              }).what(),
              HasSubstr("line 1, column 314572801: expected a tab and the column `id1`"));
}

TEST(RetrievalTest, OverlapIsFullForEqualDocumentsAndNoneForOthers) {
  std::array<float, retrieval::kOverlapFeatures> features{};
  const std::vector<uint16_t> first{1, 2, 3, 2, 1, 2};
  const std::vector<uint16_t> other{7, 8, 9};
  retrieval::overlap_features(first, first, features);
  EXPECT_NEAR(features[0], 1, 1e-6);
  EXPECT_EQ(features[1], 1);
  EXPECT_NEAR(features[2], 1, 1e-6);
  EXPECT_EQ(features[3], 1);
  EXPECT_EQ(features[4], 0);
  retrieval::overlap_features(first, other, features);
  EXPECT_THAT(features, ElementsAre(0, 0, 0, 0, ::testing::FloatNear(0.693147F, 1e-5F)));
  retrieval::overlap_features(first, {}, features);
  EXPECT_THAT(features, ElementsAre(0, 0, 0, 0, 0));
}

TEST(RetrievalTest, ByteOverlapFindsDocumentsOfTheSameAlphabet) {
  const TemporaryDirectory directory;
  std::string rows;
  for (int i = 0; i < 60; ++i) {
    const std::string letters(static_cast<size_t>(20 + i), static_cast<char>('a' + i % 20));
    rows +=
        "1.0\t1\t2\tx" + letters + "\ty" + letters + "\n0.0\t1\t2\tx" + letters + "\ty" + std::string(30, '0') + "\n";
  }
  write_files(directory / "f", rows, rows, rows);
  const auto baselines = task_named("retrieval").shortcut_baselines(import_retrieval(directory / "f", directory / "d"));
  ASSERT_EQ(baselines.size(), 3U);
  EXPECT_EQ(baselines[0].name, "majority");
  EXPECT_EQ(baselines[1].name, "bag_of_bytes");
  EXPECT_EQ(baselines[2].name, "byte_overlap");
  EXPECT_DOUBLE_EQ(baselines[2].accuracy, 1);
}

}  // namespace
}  // namespace lra::tasks
