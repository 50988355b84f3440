// What an import that was stopped leaves, and when the next one goes on with it.
#include "tasks/import_stage.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "engine/errors.h"
#include "tasks/dataset.h"
#include "tests/tasks/archive_builder.h"
#include "tests/tasks/importing.h"
#include "tests/tasks/stopping.h"
#include "tests/temporary_directory.h"

namespace lra::tasks {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using testing::TemporaryDirectory;
using testing::write_archive_of;
using testing::write_bytes;

class ImportStageTest : public ::testing::Test {
 protected:
  void SetUp() override {
    fs::create_directories(directory_ / "tree");
    for (const char* name : {"train", "test"}) write_lines(name, 40);
  }

  void write_lines(const std::string& name, int count) const {
    std::string lines;
    for (int i = 0; i < count; ++i) lines += fmt::format("{}\ttext {}\n", i % 3, i);
    write_bytes(directory_ / "tree" / (name + ".tsv"), lines);
  }

  ImportOptions options() const { return {.from = directory_ / "tree", .force = true, .checkpoint_interval_s = 0}; }

  /// Leaves an import of custom_text that has read a file.
  void stop() const {
    ASSERT_FALSE(attempt("custom_text", options(), data(), 2).is_done);
    ASSERT_TRUE(stopped_import(data(), "custom_text").has_value());
  }

  fs::path data() const { return directory_ / "data"; }

  TemporaryDirectory directory_;
};

TEST_F(ImportStageTest, IsToldWhereItIsKeptAndThatItGoesOn) {
  EXPECT_THAT(attempt("custom_text", options(), data(), 2).notes,
              Contains(AllOf(HasSubstr((data() / ".custom_text.import").string()), HasSubstr("the same command"))));
  EXPECT_THAT(attempt("custom_text", options(), data(), 100).notes, Contains(HasSubstr("going on where")));
}

TEST_F(ImportStageTest, BeginsAgainWhenFilesHaveChanged) {
  stop();
  write_lines("test", 41);
  const Attempt made = attempt("custom_text", options(), data(), 100);
  EXPECT_TRUE(made.is_done);
  EXPECT_THAT(made.notes, Contains(HasSubstr("files have changed")));
  EXPECT_EQ(Dataset::open(data(), "custom_text").test().size(), 41);
}

TEST_F(ImportStageTest, BeginsAgainForOtherSettingsAndOtherData) {
  for (const bool has_other_data : {false, true}) {
    stop();
    ImportOptions other = options();
    if (has_other_data) {
      fs::copy(directory_ / "tree", directory_ / "copy");
      other.from = directory_ / "copy";
    } else {
      other.parameters = {{"task.max_length", "3"}};
    }
    const Attempt made = attempt("custom_text", other, data(), 100);
    EXPECT_TRUE(made.is_done);
    EXPECT_THAT(made.notes, Contains(HasSubstr("other data or settings")));
  }
}

TEST_F(ImportStageTest, AMistypedSourceLosesNothing) {
  stop();
  fs::create_directories(directory_ / "other");
  ImportOptions mistyped = options();
  for (const char* name : {"other", "no_such"}) {
    mistyped.from = directory_ / name;
    EXPECT_THROW(attempt("custom_text", mistyped, data(), 100), DataError) << name;
  }
  EXPECT_THAT(attempt("custom_text", options(), data(), 100).notes, Contains(HasSubstr("going on where")));
}

TEST_F(ImportStageTest, BeginsAgainWhenWhatWasKeptIsDamaged) {
  const std::string expected =
      import_task("custom_text", directory_ / "tree", directory_ / "w").dataset.manifest().dataset_sha256;
  write_archive_of(directory_ / "x.tar.gz", directory_ / "tree");
  ImportOptions from_archive = options();
  from_archive.from = directory_ / "x.tar.gz";
  for (const char* name : {"checkpoint", "entries", "tree"}) {
    for (const bool is_cut : {false, true}) {
      ASSERT_FALSE(attempt("custom_text", from_archive, data(), 6).is_done);
      const fs::path file = data() / ".custom_text.import" / name;
      if (is_cut) {
        fs::resize_file(file, fs::file_size(file) / 2);
      } else {
        testing::flip_byte(file, static_cast<int64_t>(fs::file_size(file)) / 2);
      }
      const Attempt made = attempt("custom_text", from_archive, data(), 100);
      EXPECT_TRUE(made.is_done);
      EXPECT_THAT(made.notes, Contains(HasSubstr("beginning again"))) << name;
      EXPECT_EQ(Dataset::open(data(), "custom_text").manifest().dataset_sha256, expected) << name;
    }
  }
}

TEST_F(ImportStageTest, AnEarlierCheckpointHoldsWhateverWasWrittenSince) {
  write_archive_of(directory_ / "x.tar.gz", directory_ / "tree");
  const std::string expected =
      import_task("custom_text", directory_ / "tree", directory_ / "w").dataset.manifest().dataset_sha256;
  ImportOptions from_archive = options();
  from_archive.from = directory_ / "x.tar.gz";
  from_archive.writing = [](uint64_t, uint64_t) { throw Stopped(); };
  const fs::path checkpoint = data() / ".custom_text.import/checkpoint";
  std::set<std::string> checkpoints;
  const auto read_all_of_it = [&] {
    EXPECT_THROW(task_named("custom_text")
                     .import(from_archive, data(),
                             [&](uint64_t, uint64_t) {
                               if (fs::exists(checkpoint)) checkpoints.insert(testing::read_bytes(checkpoint));
                             }),
                 Stopped);
  };
  read_all_of_it();
  EXPECT_GE(checkpoints.size(), 3);
  for (const std::string& earlier : std::set(checkpoints)) {
    write_bytes(checkpoint, earlier);  // as if the process was killed just before it saved the next one
    ImportOptions whole = from_archive;
    whole.writing = {};
    EXPECT_TRUE(attempt("custom_text", whole, data(), 100).is_done);
    EXPECT_EQ(Dataset::open(data(), "custom_text").manifest().dataset_sha256, expected);
    read_all_of_it();
  }
}

TEST_F(ImportStageTest, NothingIsKeptOfDataThatAreWrong) {
  write_bytes(directory_ / "tree/train.tsv", "0\ta\n1\tb\nno tab\n");
  EXPECT_THROW(attempt("custom_text", options(), data(), 100), DataError);
  EXPECT_THAT(leftovers(data(), "custom_text"), ::testing::IsEmpty());
}

TEST_F(ImportStageTest, NothingIsKeptOfWhatTookNoTime) {
  ImportOptions with_interval = options();
  with_interval.checkpoint_interval_s = 60;
  EXPECT_FALSE(attempt("custom_text", with_interval, data(), 1).is_done);
  EXPECT_THAT(leftovers(data(), "custom_text"), ::testing::IsEmpty());
}

TEST_F(ImportStageTest, WritingIsToldAndMayBeStopped) {
  std::vector<uint64_t> told;
  ImportOptions telling = options();
  telling.writing = [&](uint64_t done, uint64_t total) {
    EXPECT_EQ(total, 80);
    told.push_back(done);
  };
  task_named("custom_text").import(telling, data(), {});
  EXPECT_EQ(told, (std::vector<uint64_t>{0, 80}));
  fs::remove_all(data());
  telling.writing = [](uint64_t, uint64_t) { throw Stopped(); };
  EXPECT_THROW(task_named("custom_text").import(telling, data(), {}), Stopped);
  EXPECT_FALSE(fs::exists(data() / "custom_text"));
  EXPECT_THAT(attempt("custom_text", options(), data(), 100).notes, Contains(HasSubstr("2 of 2 files were read")));
}

TEST_F(ImportStageTest, WhatAKillLeavesBesideAFinishedDatasetIsRemoved) {
  stop();
  fs::copy(data() / ".custom_text.import", directory_ / "kept");
  EXPECT_TRUE(attempt("custom_text", options(), data(), 100).is_done);
  ImportOptions without_force = options();
  without_force.force = false;
  fs::copy(directory_ / "kept", data() / ".custom_text.import");
  EXPECT_THROW(attempt("custom_text", without_force, data(), 100), UsageError);
  EXPECT_TRUE(stopped_import(data(), "custom_text").has_value()) << "an import with --force that was stopped";
  fs::remove(data() / ".custom_text.import/checkpoint");
  EXPECT_THROW(attempt("custom_text", without_force, data(), 100), UsageError);
  EXPECT_THAT(leftovers(data(), "custom_text"), ::testing::IsEmpty());
}

TEST_F(ImportStageTest, OnlyOneImportsATaskAtATime) {
  bool was_refused = false;
  const auto import_again = [&](uint64_t, uint64_t total) {
    if (total == 0 || was_refused) return;
    was_refused = true;
    EXPECT_THROW(task_named("custom_text").import(options(), data(), {}), ResourceError);
  };
  task_named("custom_text").import(options(), data(), import_again);
  EXPECT_TRUE(was_refused);
}

}  // namespace
}  // namespace lra::tasks
