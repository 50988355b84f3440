// The task as a whole: generated and imported datasets, their files, baselines and exports.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "engine/errors.h"
#include "tasks/dataset.h"
#include "tasks/dataset_writer.h"
#include "tasks/export.h"
#include "tasks/listops/expression.h"
#include "tasks/listops/loader.h"
#include "tasks/registry.h"
#include "tasks/summary.h"
#include "tests/tasks/archive_builder.h"
#include "tests/temporary_directory.h"

namespace lra::tasks {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using testing::read_bytes;
using testing::TemporaryDirectory;
using testing::thrown_by;
using testing::write_bytes;

const Task& listops_task() { return task_named("listops"); }

GenerateOptions small_options() {
  return {.seed = 4, .threads = 2, .examples = {.train = 300, .validation = 20, .test = 31}};
}

Dataset generate(const fs::path& directory, const GenerateOptions& options = small_options()) {
  listops_task().generate(options, directory, {});
  return Dataset::open(directory, "listops");
}

/// All files of the dataset, one after the other.
std::string all_bytes(const Dataset& dataset) {
  std::string bytes = read_bytes(dataset.directory() / kManifestFile);
  for (const auto& [name, file] : dataset.manifest().arrays) bytes += read_bytes(dataset.directory() / name);
  return bytes;
}

/// Writes the three splits as official files into `directory`.
void export_official(const Dataset& dataset, const fs::path& directory) {
  for (const SplitName name : kSplitNames) {
    export_tsv(listops_task(), dataset, name, directory / listops::official_file(name), {});
  }
}

TEST(ListOpsTest, FactsAreThoseOfTheBenchmark) {
  const TaskFacts& facts = listops_task().facts();
  EXPECT_EQ(facts.vocab_size(), 17);
  EXPECT_EQ(facts.num_classes, 10);
  EXPECT_EQ(facts.nominal_length, 2000);
  EXPECT_EQ(facts.default_examples, (SplitSizes{.train = 96'000, .validation = 2'000, .test = 2'000}));
  EXPECT_TRUE(facts.supports_generate);
}

TEST(ListOpsTest, BytesDoNotDependOnTheNumberOfThreads) {
  std::set<std::string> versions;
  for (const int threads : {1, 2, 3}) {
    const TemporaryDirectory directory;
    GenerateOptions options = small_options();
    options.threads = threads;
    versions.insert(all_bytes(generate(directory.path(), options)));
  }
  EXPECT_EQ(versions.size(), 1U);
}

TEST(ListOpsTest, AnotherSeedIsAnotherDataset) {
  const TemporaryDirectory first;
  const TemporaryDirectory second;
  GenerateOptions options = small_options();
  options.seed = 5;
  EXPECT_NE(generate(first.path()).manifest().dataset_sha256,
            generate(second.path(), options).manifest().dataset_sha256);
}

TEST(ListOpsTest, BytesOfASeedStayAsTheyWereReleased) {
  const TemporaryDirectory directory;
  EXPECT_EQ(generate(directory.path()).manifest().dataset_sha256,
            "70ccea003e090e26833ef53c1deae2a015ec503dc042f1a0fc934f44ecc9c01b");
}

TEST(ListOpsTest, SplitsAreDisjointAndOfTheSizesAskedFor) {
  const TemporaryDirectory directory;
  const Dataset dataset = generate(directory.path());
  std::set<std::string> distinct;
  listops::Evaluator evaluator;
  for (const SplitName name : kSplitNames) {
    const Split& split = dataset.split(name);
    EXPECT_EQ(split.size(), small_options().examples[name]);
    for (int64_t i = 0; i < split.size(); ++i) {
      distinct.emplace(split.tokens(i).begin(), split.tokens(i).end());
      EXPECT_EQ(evaluator.evaluate(split.tokens(i)), split.label(i));
      EXPECT_GT(split.length(i), 500);
      EXPECT_LT(split.length(i), 2000);
    }
  }
  EXPECT_EQ(distinct.size(), 351U);
  EXPECT_NO_THROW(dataset.verify({}));
}

TEST(ListOpsTest, ShorterVariantIsRecordedInTheManifest) {
  const TemporaryDirectory directory;
  GenerateOptions options = small_options();
  options.parameters = {{"task.max_length", "100"}, {"task.min_length", "10"}};
  const Dataset dataset = generate(directory.path(), options);
  EXPECT_EQ(dataset.manifest().nominal_length, 100);
  EXPECT_EQ(std::get<int64_t>(dataset.manifest().parameters.at("max_length")), 100);
  EXPECT_EQ(dataset.manifest().seed, 4U);
  for (int64_t i = 0; i < dataset.train().size(); ++i) {
    EXPECT_GT(dataset.train().length(i), 10);
    EXPECT_LT(dataset.train().length(i), 100);
  }
}

TEST(ListOpsTest, OneSplitMayBeEmptyButNotAll) {
  const TemporaryDirectory directory;
  GenerateOptions options = small_options();
  options.examples = {.train = 0, .validation = 0, .test = 3};
  const Dataset dataset = generate(directory.path(), options);
  EXPECT_EQ(dataset.train().size(), 0);
  EXPECT_EQ(dataset.test().size(), 3);
  EXPECT_TRUE(listops_task().shortcut_baselines(dataset).empty());
  EXPECT_THAT(summary_table(listops_task(), dataset), HasSubstr("train"));
  options.examples = {};
  EXPECT_THROW(listops_task().generate(options, directory / "x", {}), UsageError);
}

TEST(ListOpsTest, AbsurdSizesAreRefusedBeforeAnyWork) {
  const TemporaryDirectory directory;
  GenerateOptions options = small_options();
  for (const int64_t count : {int64_t{-1}, int64_t{1'000'000'000'000}, INT64_MAX}) {
    options.examples.train = count;
    EXPECT_THAT(thrown_by<UsageError>([&] { listops_task().generate(options, directory / "x", {}); }).what(),
                HasSubstr("--train " + std::to_string(count)));
  }
  EXPECT_FALSE(fs::exists(directory / "x"));
}

TEST(ListOpsTest, InterruptedGenerationLeavesNothing) {
  const TemporaryDirectory directory;
  const auto stop = [](uint64_t, uint64_t) { throw std::runtime_error("interrupted"); };
  EXPECT_THROW(listops_task().generate(small_options(), directory / "d", stop), std::runtime_error);
  EXPECT_FALSE(fs::exists(directory / "d" / "listops"));
  EXPECT_FALSE(fs::exists(directory / "d" / ".listops.tmp"));
}

TEST(ListOpsTest, ExportedTextImportsToTheSameExamples) {
  const TemporaryDirectory directory;
  const Dataset generated = generate(directory / "a");
  fs::create_directory(directory / "official");
  export_official(generated, directory / "official");
  uint64_t last = 0;
  uint64_t whole = 0;
  listops_task().import({.from = directory / "official"}, directory / "b",
                        [&](uint64_t done, uint64_t total) { last = done, whole = total; });
  EXPECT_EQ(last, whole);
  const Dataset imported = Dataset::open(directory / "b", "listops");
  EXPECT_EQ(imported.manifest().dataset_sha256, generated.manifest().dataset_sha256);
  EXPECT_EQ(imported.manifest().source.kind, "import");
  EXPECT_EQ(imported.manifest().source.file_sha256.size(), 3U);
  EXPECT_FALSE(imported.manifest().seed.has_value());
  fs::create_directory(directory / "again");
  export_official(imported, directory / "again");
  EXPECT_EQ(read_bytes(directory / "again/basic_train.tsv"), read_bytes(directory / "official/basic_train.tsv"));
}

TEST(ListOpsTest, AnArchiveOfTheReleaseImportsToTheSameDataset) {
  const TemporaryDirectory directory;
  const Dataset generated = generate(directory / "a");
  const fs::path inner = directory / "release/lra_release/lra_release/listops-1000";
  fs::create_directories(inner);
  export_official(generated, inner);
  const fs::path outer = directory / "release/lra_release/listops-1000";  // an older copy that must not be read
  fs::create_directories(outer);
  for (const SplitName name : kSplitNames) write_bytes(outer / listops::official_file(name), "older");
  testing::write_archive_of(directory / "lra_release.gz", directory / "release");
  std::vector<std::string> notes;
  const auto note = [&](const std::string& text) { notes.push_back(text); };
  listops_task().import({.from = directory / "lra_release.gz", .note = note}, directory / "b", {});
  EXPECT_THAT(notes,
              ::testing::ElementsAre(HasSubstr("two copies"), HasSubstr("the train split has 300 examples"),
                                     HasSubstr("the validation split has 20"), HasSubstr("the test split has 31")));
  listops_task().import({.from = directory / "release"}, directory / "c", {});
  EXPECT_EQ(all_bytes(Dataset::open(directory / "b", "listops")), all_bytes(Dataset::open(directory / "c", "listops")));
  EXPECT_EQ(Dataset::open(directory / "b", "listops").manifest().dataset_sha256, generated.manifest().dataset_sha256);
}

TEST(ListOpsTest, AnImportWithoutTestExamplesIsRefused) {
  const TemporaryDirectory directory;
  for (const SplitName name : kSplitNames) {
    const std::string rows = name == SplitName::kTest ? "" : "( ( ( [MAX 2 ) 9 ) ] )\t9\r\n";
    write_bytes(directory / listops::official_file(name), "Source\tTarget\r\n" + rows);
  }
  EXPECT_THAT(
      thrown_by<DataError>([&] { listops_task().import({.from = directory.path()}, directory / "d", {}); }).what(),
      HasSubstr("no examples for the test split"));
  EXPECT_FALSE(fs::exists(directory / "d/listops"));
}

TEST(ListOpsTest, BrokenImportLeavesTheEarlierDataset) {
  const TemporaryDirectory directory;
  const std::string earlier = generate(directory / "d").manifest().dataset_sha256;
  for (const SplitName name : kSplitNames) {
    write_bytes(directory / listops::official_file(name), "Source\tTarget\r\n[MAX 1 2 ]\t1\r\n");
  }
  EXPECT_THROW(listops_task().import({.from = directory.path(), .force = true}, directory / "d", {}), DataError);
  EXPECT_EQ(Dataset::open(directory / "d", "listops").manifest().dataset_sha256, earlier);
  for (const SplitName name : kSplitNames) write_bytes(directory / listops::official_file(name), "Source\tTarget\r\n");
  EXPECT_THAT(
      thrown_by<DataError>([&] { listops_task().import({.from = directory.path()}, directory / "e", {}); }).what(),
      HasSubstr("no examples"));
}

TEST(ListOpsTest, PaddedExportHoldsTokensAndLabels) {
  const TemporaryDirectory directory;
  const Dataset dataset = generate(directory / "d");
  export_npy(dataset, SplitName::kTest, directory / "test.npy", {});
  const io::NpyArray tokens(directory / "test.npy");
  const io::NpyArray labels(directory / "test.labels.npy");
  EXPECT_THAT(tokens.shape(), ::testing::ElementsAre(31, 2000));
  for (int64_t i = 0; i < 31; ++i) {
    const auto row = tokens.as<uint8_t>().subspan(static_cast<size_t>(i) * 2000, 2000);
    const auto real = dataset.test().tokens(i);
    EXPECT_TRUE(std::equal(real.begin(), real.end(), row.begin()));
    EXPECT_TRUE(std::all_of(row.begin() + real.size(), row.end(), [](uint8_t id) { return id == 0; }));
    EXPECT_EQ(labels.as<uint8_t>()[static_cast<size_t>(i)], dataset.test().label(i));
  }
}

TEST(ListOpsTest, ItHasNoImages) {
  const TemporaryDirectory directory;
  const Dataset dataset = generate(directory / "d");
  EXPECT_THAT(thrown_by<UsageError>([&] { listops_task().export_images(dataset, SplitName::kTest, "x", {}); }).what(),
              HasSubstr("no images"));
}

TEST(ListOpsTest, ExportOfAnAlteredDatasetIsADataError) {
  const TemporaryDirectory directory;
  const fs::path tokens = generate(directory.path()).directory() / "test.tokens.npy";
  std::string bytes = read_bytes(tokens);
  bytes[128] = '\xc8';  // the first token
  write_bytes(tokens, bytes);
  const Dataset dataset = Dataset::open(directory.path(), "listops");
  EXPECT_THROW(export_tsv(listops_task(), dataset, SplitName::kTest, directory / "x.tsv", {}), DataError);
  EXPECT_FALSE(fs::exists(directory / "x.tsv"));
}

/// {operator 1 1 ] -> label} for each pair, split into train and test.
TEST(ListOpsTest, BaselinesAreFittedOnTrainAndScoredOnTest) {
  const TemporaryDirectory directory;
  Manifest manifest;
  manifest.task = "listops";
  manifest.vocabulary = listops::vocabulary();
  manifest.num_classes = 10;
  manifest.nominal_length = 2000;
  {
    DatasetWriter writer(directory.path(), manifest, false);
    const auto add = [&](SplitName split, uint8_t root, int label) {
      const std::vector<uint8_t> tokens{root, 1, 1, listops::kClose};
      writer.add_sequence(split, tokens);
      writer.add_label(split, label);
    };
    for (const int label : {0, 0, 0, 9}) add(SplitName::kTrain, listops::kMin, label);
    for (const int label : {9, 9}) add(SplitName::kTrain, listops::kMax, label);
    add(SplitName::kTest, listops::kMin, 0);  // both right
    add(SplitName::kTest, listops::kMax, 9);  // root right; in train 0 and 9 are equally frequent, the first wins
    add(SplitName::kTest, listops::kMax, 8);  // both wrong
    add(SplitName::kTest, listops::kSum, 0);  // an operator that train lacks: the majority
    writer.finish();
  }
  const auto baselines = listops_task().shortcut_baselines(Dataset::open(directory.path(), "listops"));
  ASSERT_EQ(baselines.size(), 2U);
  EXPECT_EQ(baselines[0].name, "majority");
  EXPECT_DOUBLE_EQ(baselines[0].accuracy, 0.5);
  EXPECT_EQ(baselines[1].name, "root_operator");
  EXPECT_DOUBLE_EQ(baselines[1].accuracy, 0.75);
}

TEST(SummaryTest, TableAndJsonTellTheSame) {
  const TemporaryDirectory directory;
  const Dataset dataset = generate(directory.path());
  const SplitSummary summary = summarize(dataset.train(), 10);
  EXPECT_EQ(summary.examples, 300);
  EXPECT_EQ(std::accumulate(summary.label_counts.begin(), summary.label_counts.end(), int64_t{0}), 300);
  EXPECT_LE(summary.length_quantiles_tokens.front(), summary.mean_length_tokens);
  const std::string table = summary_table(listops_task(), dataset);
  const std::string json = summary_json(listops_task(), dataset);
  for (const std::string& text : {table, json}) {
    EXPECT_THAT(text, HasSubstr(dataset.manifest().dataset_sha256));
    EXPECT_THAT(text, HasSubstr("root_operator"));
    EXPECT_THAT(text, HasSubstr(std::to_string(summary.tokens)));
  }
}

}  // namespace
}  // namespace lra::tasks
