#include "tasks/dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/errors.h"
#include "engine/io/npy.h"
#include "engine/io/sha256.h"
#include "tests/tasks/toy_dataset.h"
#include "tests/temporary_directory.h"

namespace lra::tasks {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using testing::flip_byte;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::read_bytes;
using testing::TemporaryDirectory;
using testing::thrown_by;
using testing::write_bytes;

class DatasetTest : public ::testing::Test {
 protected:
  DatasetTest() { make_toy(directory_.path()); }

  Dataset open() const { return Dataset::open(directory_.path(), "toy"); }
  fs::path file(const std::string& name) const { return directory_ / "toy" / name; }

  /// The message of open(), which must fail and tell how to go on.
  std::string open_error() const {
    const auto error = thrown_by<DataError>([&] { open(); });
    EXPECT_FALSE(error.hint().empty());
    return error.what();
  }

  void edit_manifest(const std::string& from, const std::string& to) const {
    std::string text = read_bytes(file("dataset.json"));
    const size_t at = text.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    write_bytes(file("dataset.json"), text.replace(at, from.size(), to));
  }

  TemporaryDirectory directory_;
};

TEST_F(DatasetTest, ReturnsWhatWasWritten) {
  const Dataset dataset = open();
  EXPECT_THAT(dataset.train().tokens(0), ElementsAre(1, 2, 3));
  EXPECT_THAT(dataset.train().tokens(1), ElementsAre(1));
  EXPECT_THAT(dataset.test().tokens(0), ElementsAre(3, 3));
  EXPECT_EQ(dataset.train().label(1), 2);
  EXPECT_EQ(dataset.train().length(0), 3);
  EXPECT_EQ(dataset.validation().size(), 0);
  EXPECT_EQ(dataset.manifest().examples, (SplitSizes{.train = 2, .validation = 0, .test = 1}));
  EXPECT_EQ(dataset.vocab_size(), 4);
  EXPECT_THROW(dataset.train().tokens(2), std::logic_error);
  EXPECT_THROW(dataset.train().tokens16(0), std::logic_error);
}

TEST_F(DatasetTest, ManifestKeepsEverything) {
  const Manifest manifest = open().manifest();
  EXPECT_EQ(manifest.seed, 18446744073709551615U);
  EXPECT_EQ(std::get<int64_t>(manifest.parameters.at("min_length")), 1);
  EXPECT_EQ(std::get<double>(manifest.parameters.at("share")), 0.5);
  EXPECT_EQ(std::get<std::string>(manifest.parameters.at("policy")), "official");
  EXPECT_EQ(manifest.source.counts.at("candidates"), 12);
  EXPECT_EQ(manifest_text(manifest), read_bytes(file("dataset.json")));
}

TEST_F(DatasetTest, CopiesTokensPaddedOrCut) {
  const Dataset dataset = open();
  std::vector<int32_t> wide(5, -1);
  EXPECT_EQ(dataset.train().copy_tokens(0, 0, wide), 3);
  EXPECT_THAT(wide, ElementsAre(1, 2, 3, 0, 0));
  std::vector<int32_t> narrow(2, -1);
  EXPECT_EQ(dataset.train().copy_tokens(0, 0, narrow), 2);
  EXPECT_THAT(narrow, ElementsAre(1, 2));
}

TEST_F(DatasetTest, ViewsSurviveAMove) {
  Dataset dataset = open();
  const Dataset moved = std::move(dataset);
  EXPECT_THAT(moved.train().tokens(0), ElementsAre(1, 2, 3));
}

TEST_F(DatasetTest, HashIsThatOfTheShellCommand) {
  std::string lines;
  const Manifest manifest = open().manifest();
  for (const auto& [name, array] : manifest.arrays) {
    lines += io::sha256_file(file(name)) + "  " + name + "\n";
  }
  EXPECT_EQ(manifest.dataset_sha256, io::sha256_hex(lines));
}

TEST_F(DatasetTest, TwoInputsAndWideTokensAreStored) {
  Manifest manifest = toy_manifest(TokenType::kUint16, 2);
  manifest.task = "pairs";
  manifest.vocabulary.resize(300, "x");
  {
    DatasetWriter writer(directory_.path(), manifest, false);
    const std::vector<uint16_t> first{299, 1};
    const std::vector<uint16_t> second{2};
    writer.add_sequence(SplitName::kTrain, first);
    writer.add_sequence(SplitName::kTrain, second);
    writer.add_label(SplitName::kTrain, 1);
    writer.finish();
  }
  const Dataset dataset = Dataset::open(directory_.path(), "pairs");
  EXPECT_EQ(dataset.train().size(), 1);
  EXPECT_THAT(dataset.train().tokens16(0, 0), ElementsAre(299, 1));
  EXPECT_THAT(dataset.train().tokens16(0, 1), ElementsAre(2));
  EXPECT_NO_THROW(dataset.verify({}));
}

TEST_F(DatasetTest, MissingDatasetHintsTheCommandThatMakesIt) {
  const TemporaryDirectory empty;
  const auto error = thrown_by<DataError>([&] { Dataset::open(empty.path(), "listops"); });
  EXPECT_EQ(error.hint(), "lra data generate listops --data " + empty.path().string());
  EXPECT_EQ(error.exit_code(), kExitData);
}

TEST_F(DatasetTest, VerifyAcceptsTheIntactOneAndCountsItsBytes) {
  uint64_t last = 0;
  uint64_t whole = 0;
  open().verify([&](uint64_t done, uint64_t total) { last = done, whole = total; });
  EXPECT_EQ(last, whole);
  EXPECT_GT(whole, 0U);
}

TEST_F(DatasetTest, VerifyNamesTheFileWithAnAlteredByte) {
  flip_byte(file("train.tokens.npy"), -1);
  const Dataset dataset = open();
  const auto error = thrown_by<DataError>([&] { dataset.verify({}); });
  EXPECT_THAT(error.what(), HasSubstr("train.tokens.npy"));
  EXPECT_THAT(error.what(), HasSubstr("altered or damaged"));
  EXPECT_THAT(error.hint(), HasSubstr("lra data generate toy --data " + directory_.path().string() + " --force"));
}

TEST_F(DatasetTest, ADamagedImportIsImportedAgainNotGenerated) {
  const TemporaryDirectory data;
  Manifest manifest = toy_manifest();
  manifest.task = "listops";
  manifest.source.kind = "import";
  {
    DatasetWriter writer(data.path(), manifest, false);
    writer.finish();
  }
  write_bytes(data / "listops/test.labels.npy", "");
  const auto error = thrown_by<DataError>([&] { Dataset::open(data.path(), "listops"); });
  EXPECT_THAT(error.hint(),
              HasSubstr("lra data import listops --from PATH --data " + data.path().string() + " --force"));
  EXPECT_THAT(error.hint(), Not(HasSubstr("generate")));
}

TEST_F(DatasetTest, EveryAlteredByteOfEveryFileIsNoticed) {
  const Manifest manifest = open().manifest();
  for (const auto& [name, array] : manifest.arrays) {
    for (uint64_t at = 0; at < array.bytes; ++at) {
      flip_byte(file(name), static_cast<int64_t>(at));
      const auto error = thrown_by<DataError>([&] { open().verify({}); });
      EXPECT_THAT(error.what(), HasSubstr(name)) << "byte " << at;
      flip_byte(file(name), static_cast<int64_t>(at));
    }
  }
  EXPECT_NO_THROW(open().verify({}));
}

TEST_F(DatasetTest, VerifyRefusesTokensOutsideTheVocabularyUnderAMatchingHash) {
  const std::vector<uint8_t> tokens{1, 2, 4, 1};
  io::write_npy<uint8_t>(file("train.tokens.npy"), std::vector<int64_t>{4}, tokens);
  Manifest manifest = open().manifest();
  manifest.arrays["train.tokens.npy"].sha256 = io::sha256_file(file("train.tokens.npy"));
  manifest.dataset_sha256 = dataset_hash(manifest.arrays);
  write_bytes(file("dataset.json"), manifest_text(manifest));
  EXPECT_THAT(thrown_by<DataError>([&] { open().verify({}); }).what(), HasSubstr("token 4 at position 2"));
}

TEST_F(DatasetTest, TruncatedMissingOrForeignArraysAreNamed) {
  const std::string labels = read_bytes(file("test.labels.npy"));
  write_bytes(file("test.labels.npy"), labels.substr(0, labels.size() - 1));
  EXPECT_THAT(open_error(), HasSubstr("test.labels.npy` is truncated"));
  write_bytes(file("test.labels.npy"), "");
  EXPECT_THAT(open_error(), HasSubstr("not a .npy file"));
  fs::remove(file("test.labels.npy"));
  EXPECT_THAT(open_error(), HasSubstr("test.labels.npy"));
  io::write_npy<float>(file("test.labels.npy"), std::vector<int64_t>{1}, std::vector<float>{0});
  EXPECT_THAT(open_error(), HasSubstr("float32"));
  io::write_npy<uint8_t>(file("test.labels.npy"), std::vector<int64_t>{2}, std::vector<uint8_t>{0, 0});
  EXPECT_THAT(open_error(), HasSubstr("2 elements, dataset.json says 1"));
  io::write_npy<uint8_t>(file("test.labels.npy"), std::vector<int64_t>{1}, std::vector<uint8_t>{3});
  EXPECT_THAT(open_error(), HasSubstr("label 3 of example 0 is not below 3"));
}

TEST_F(DatasetTest, OffsetsThatDoNotRiseToTheTokensAreNamed) {
  const auto write = [&](std::vector<uint64_t> offsets) {
    io::write_npy<uint64_t>(file("train.offsets.npy"), std::vector<int64_t>{3}, offsets);
    return open_error();
  };
  EXPECT_THAT(write({1, 3, 4}), HasSubstr("first offset is 1"));
  EXPECT_THAT(write({0, 5, 4}), HasSubstr("fall after element 1"));
  EXPECT_THAT(write({0, 3, UINT64_MAX}), HasSubstr("last offset"));
}

TEST_F(DatasetTest, DamagedManifestsAreDataErrors) {
  const std::string good = read_bytes(file("dataset.json"));
  const auto with = [&](const std::string& from, const std::string& to) {
    write_bytes(file("dataset.json"), good);
    edit_manifest(from, to);
    return open_error();
  };
  EXPECT_THAT(with("\"task\": \"toy\"", "\"task\": \"other\""), HasSubstr("describes the task `other`"));
  EXPECT_THAT(with("\"schema_version\": 1", "\"schema_version\": 9"), HasSubstr("schema_version 9"));
  EXPECT_THAT(with("\"num_classes\": 3", "\"num_classes\": 0"), HasSubstr("`num_classes`"));
  EXPECT_THAT(with("\"inputs_per_example\": 1", "\"inputs_per_example\": 7"), HasSubstr("`inputs_per_example`"));
  EXPECT_THAT(with("\"examples\": 2", "\"examples\": -2"), HasSubstr("`splits`"));
  EXPECT_THAT(with("\"examples\": 2", "\"examples\": \"2\""), HasSubstr("not the manifest"));
  EXPECT_THAT(with("test.labels.npy", "text.labels.npy"), HasSubstr("`arrays`"));
  EXPECT_THAT(with("\"seed\"", "\"sead\""), HasSubstr("seed"));
  write_bytes(file("dataset.json"), good.substr(0, 40));
  EXPECT_THAT(open_error(), HasSubstr("not the manifest"));
  write_bytes(file("dataset.json"), "[]");
  EXPECT_THAT(open_error(), HasSubstr("not the manifest"));
}

TEST_F(DatasetTest, VerifyRefusesAForgedDatasetHash) {
  const std::string hash = open().manifest().dataset_sha256;
  edit_manifest(hash, std::string(64, '0'));
  EXPECT_THAT(thrown_by<DataError>([&] { open().verify({}); }).what(), HasSubstr("dataset_sha256"));
}

TEST(SplitNameTest, ParsesItsTextsAndSuggestsNearOnes) {
  for (const SplitName name : kSplitNames) EXPECT_EQ(parse_split(split_text(name)), name);
  EXPECT_THAT(thrown_by<UsageError>([] { parse_split("tain"); }).hint(), HasSubstr("`train`"));
}

}  // namespace
}  // namespace lra::tasks
