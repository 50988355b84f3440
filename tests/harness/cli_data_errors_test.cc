// Malformed, truncated and altered inputs: datasets, official files, checkpoints and run directories.
#include "engine/io/safetensors.h"
#include "tests/harness/program.h"

namespace lra::testing {
namespace {

void truncate_to(const fs::path& file, uint64_t bytes) { fs::resize_file(file, bytes); }

class DatasetErrorsTest : public ProgramTest {
 protected:
  void SetUp() override { make_data(); }
  fs::path array(const std::string& name) const { return path("data") / "listops" / name; }
  Arguments verify() const { return {"data", "verify", "listops", "--data", text("data")}; }
};

TEST_F(DatasetErrorsTest, AMissingDatasetSaysHowToMakeIt) {
  refuses({"train", "--task", "listops", "--attention", "softmax", "--data", text("none"), "--out", text("runs")}, 3,
          {"none/listops", "lra data generate listops"});
  EXPECT_FALSE(fs::exists(path("runs")));
}

TEST_F(DatasetErrorsTest, TruncatedArraysAreRefusedEverywhere) {
  for (const char* name : {"train.tokens.npy", "train.offsets.npy", "validation.labels.npy"}) {
    const std::string whole = read_bytes(array(name));
    for (const uint64_t bytes : {uint64_t{0}, uint64_t{50}, whole.size() - 1}) {
      truncate_to(array(name), bytes);
      refuses(verify(), 3, {name});
      refuses(train(), 3, {name, "lra data"});
    }
    write_bytes(array(name), whole);
  }
  EXPECT_FALSE(fs::exists(path("runs")));
}

TEST_F(DatasetErrorsTest, AlteredArraysDoNotMatchTheirChecksum) {
  flip_byte(array("train.tokens.npy"), -1);
  refuses(verify(), 3, {"train.tokens.npy", "SHA-256"});
  flip_byte(array("train.tokens.npy"), -1);
  EXPECT_EQ(run(verify()).exit_code, 0);
}

TEST_F(DatasetErrorsTest, TokensOutsideTheVocabularyAreNeverTrainedOnOrEvaluated) {
  ASSERT_EQ(run(train()).exit_code, 0);
  const std::string directory = run_directory().string();
  for (const char* name : {"train.tokens.npy", "test.tokens.npy"}) {
    std::string bytes = read_bytes(array(name));
    const std::string whole = bytes;
    bytes[bytes.size() - 7] = '\xff';
    write_bytes(array(name), bytes);
    const std::string split = std::string(name).substr(0, std::string(name).find('.'));
    refuses(train({}, "other"), 3, {split, "token 255", "17"});
    refuses({"eval", directory, "--data", text("data"), "--split", split}, 3, {split, "token 255"});
    write_bytes(array(name), whole);
  }
  EXPECT_FALSE(fs::exists(path("other")));
}

TEST_F(DatasetErrorsTest, ADamagedManifestIsRefused) {
  const std::string whole = read_bytes(array("dataset.json"));
  write_bytes(array("dataset.json"), whole.substr(0, whole.size() / 2));
  refuses(verify(), 3, {"dataset.json"});
  refuses(train(), 3, {"dataset.json"});
  fs::remove(array("dataset.json"));
  refuses(train(), 3, {"dataset.json"});
}

TEST_F(DatasetErrorsTest, MalformedTsvIsNamedByFileLineAndColumn) {
  for (const char* split : {"train", "validation", "test"}) {
    const std::string file = text("lra") + "/basic_" + (std::string(split) == "validation" ? "val" : split) + ".tsv";
    fs::create_directories(path("lra"));
    const Outcome done = run(
        {"data", "export", "listops", "--data", text("data"), "--split", split, "--format", "tsv", "--output", file});
    ASSERT_EQ(done.exit_code, 0) << done.err;
  }
  const fs::path official = path("lra") / "basic_val.tsv";
  const std::string whole = read_bytes(official);
  const Arguments import = {"data", "import", "listops", "--from", text("lra"), "--data", text("imported")};
  const size_t second = whole.find('\n') + 1, third = whole.find('\n', second) + 1;
  write_bytes(official, whole.substr(0, third) + "( ( [MAX 1 ) x2 ) ]\t4\n" + whole.substr(third));
  refuses(import, 3, {"basic_val.tsv", "line 3", "column"});
  write_bytes(official, whole.substr(0, third) + "[MAX 1 2 ] 2\n");
  refuses(import, 3, {"basic_val.tsv", "line 3"});
  write_bytes(official, "");
  refuses(import, 3, {"basic_val.tsv"});
  fs::remove(official);
  refuses(import, 3, {"basic_val.tsv"});
  EXPECT_FALSE(fs::exists(path("imported") / "listops"));
  write_bytes(official, whole);
  EXPECT_EQ(run(import).exit_code, 0);
}

/// A run that has only its last checkpoint left to go on from.
class CheckpointErrorsTest : public ProgramTest {
 protected:
  void SetUp() override {
    make_data();
    ASSERT_EQ(run(train()).exit_code, 0);
    directory_of_run_ = run_directory();
    fs::remove(directory_of_run_ / "result.json");
  }
  fs::path last() const { return directory_of_run_ / "checkpoint" / "last.safetensors"; }
  fs::path best() const { return directory_of_run_ / "checkpoint" / "best.safetensors"; }
  Arguments eval() const { return {"eval", directory_of_run_.string(), "--data", text("data")}; }
  /// Refused by `arguments`, naming `file`, and nothing in the run directory changes.
  void refuses_unchanged(const Arguments& arguments, int exit_code, const fs::path& file) const {
    const auto before = contents_of(directory_of_run_);
    refuses(arguments, exit_code, {file.filename().string()});
    EXPECT_EQ(contents_of(directory_of_run_), before);
  }

  fs::path directory_of_run_;
};

TEST_F(CheckpointErrorsTest, TruncatedOnesAreRefusedAtEveryBoundary) {
  for (const fs::path& file : {last(), best()}) {
    const Arguments command = file == last() ? train({"--resume"}) : eval();
    const std::string whole = read_bytes(file);
    uint64_t header_bytes = 0;
    std::memcpy(&header_bytes, whole.data(), sizeof(header_bytes));
    for (const uint64_t bytes : {uint64_t{0}, uint64_t{7}, uint64_t{8}, header_bytes / 2, header_bytes + 7,
                                 header_bytes + 8, header_bytes + 9, whole.size() - 1}) {
      truncate_to(file, bytes);
      refuses_unchanged(command, 3, file);
      write_bytes(file, whole);
    }
  }
}

TEST_F(CheckpointErrorsTest, FlippedHeadersAreRefused) {
  for (const fs::path& file : {last(), best()}) {
    const Arguments command = file == last() ? train({"--resume"}) : eval();
    for (const int64_t position : {0, 1, 3, 7, 8, 9}) {
      flip_byte(file, position);
      refuses_unchanged(command, 3, file);
      flip_byte(file, position);
    }
    const std::string whole = read_bytes(file);
    write_bytes(file, whole + "x");
    refuses_unchanged(command, 3, file);
    write_bytes(file, whole);
  }
  EXPECT_EQ(run(train({"--resume"})).exit_code, 0);
}

TEST_F(CheckpointErrorsTest, FlippedNumbersAreRefused) {
  for (const fs::path& file : {last(), best()}) {
    const Arguments command = file == last() ? train({"--resume"}) : eval();
    const std::string whole = read_bytes(file);
    const auto size = static_cast<int64_t>(whole.size());
    const auto in_step = static_cast<int64_t>(whole.find("\"step\":\"")) + 8;  // a digit of the metadata
    for (const int64_t position : {size / 2, size - 1, in_step}) {
      flip_byte(file, position);
      refuses_unchanged(command, 3, file);
      write_bytes(file, whole);
    }
  }
}

TEST_F(CheckpointErrorsTest, ThoseOfAnotherConfigurationAreRefused) {
  ASSERT_EQ(run(train({"--set", "train.learning_rate=0.5"}, "other")).exit_code, 0);
  for (const char* name : {"last.safetensors", "best.safetensors"})
    fs::copy_file(run_directory("other") / "checkpoint" / name, directory_of_run_ / "checkpoint" / name,
                  fs::copy_options::overwrite_existing);
  refuses_unchanged(train({"--resume"}), 4, last());
  refuses_unchanged(eval(), 4, best());
}

TEST_F(CheckpointErrorsTest, AnotherDatasetIsRefused) {
  make_data("1", "other_data");
  refuses_unchanged({"eval", directory_of_run_.string(), "--data", text("other_data")}, 4, best());
}

TEST_F(CheckpointErrorsTest, OtherPartsOfARunAreCheckedToo) {
  const fs::path metrics = directory_of_run_ / "metrics.jsonl";
  truncate_to(metrics, fs::file_size(metrics) - 5);
  refuses_unchanged(train({"--resume"}), 3, metrics);
  write_bytes(directory_of_run_ / "result.json", "{\"schema_version\":");
  refuses_unchanged(train({"--resume"}), 3, "result.json");
  write_bytes(directory_of_run_ / "config.json", "{");
  refuses_unchanged(eval(), 3, "config.json");
  fs::remove(directory_of_run_ / "config.json");
  refuses_unchanged(eval(), 3, "config.json");
  refuses({"eval", text("nowhere"), "--data", text("data")}, 3, {"nowhere"});
}

TEST_F(CheckpointErrorsTest, WhatKilledWritersLeftIsRemoved) {
  const std::vector<fs::path> left = {directory_of_run_ / ".result.json.tmp-1-0",
                                      directory_of_run_ / "checkpoint" / ".last.safetensors.tmp-1-3"};
  for (const fs::path& file : left) write_bytes(file, "half");
  ASSERT_EQ(run(train({"--resume"})).exit_code, 0);
  for (const fs::path& file : left) EXPECT_FALSE(fs::exists(file)) << file;
}

TEST_F(CheckpointErrorsTest, AMissingOneSaysThatTheRunMustBeTrained) {
  fs::remove(best());
  refuses_unchanged(eval(), 3, best());
  refuses({"eval", directory_of_run_.string(), "--data", text("data"), "--split", "tests"}, 2, {"did you mean `test`"});
}

}  // namespace
}  // namespace lra::testing
