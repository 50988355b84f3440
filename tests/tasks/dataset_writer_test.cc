#include "tasks/dataset_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/wait.h>
#include <unistd.h>
#include <csignal>

#include "engine/errors.h"
#include "tasks/dataset.h"
#include "tests/tasks/toy_dataset.h"
#include "tests/temporary_directory.h"

namespace lra::tasks {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using testing::read_bytes;
using testing::TemporaryDirectory;
using testing::thrown_by;
using testing::write_bytes;

/// Names in the data directory, without the lock, which stays.
std::vector<std::string> names_in(const fs::path& directory) {
  std::vector<std::string> names;
  for (const fs::directory_entry& entry : fs::directory_iterator(directory)) {
    if (entry.path().filename() != ".toy.lock") names.push_back(entry.path().filename().string());
  }
  return names;
}

TEST(DatasetWriterTest, AppearsOnlyWhenFinished) {
  const TemporaryDirectory directory;
  {
    DatasetWriter writer(directory.path(), toy_manifest(), false);
    write_toy(writer);
    EXPECT_FALSE(fs::exists(directory / "toy"));
    EXPECT_EQ(writer.finish(), directory / "toy");
  }
  EXPECT_THAT(names_in(directory.path()), ::testing::ElementsAre("toy"));
  EXPECT_EQ(Dataset::open(directory.path(), "toy").train().size(), 2);
}

TEST(DatasetWriterTest, UnfinishedLeavesNothing) {
  const TemporaryDirectory directory;
  {
    DatasetWriter writer(directory.path(), toy_manifest(), false);
    write_toy(writer);
  }
  EXPECT_TRUE(names_in(directory.path()).empty());
}

TEST(DatasetWriterTest, ExistingDatasetIsRefusedWithoutForce) {
  const TemporaryDirectory directory;
  make_toy(directory.path());
  const std::string earlier = read_bytes(directory / "toy/dataset.json");
  const auto error = thrown_by<UsageError>([&] { make_toy(directory.path()); });
  EXPECT_THAT(error.what(), HasSubstr("already holds a dataset"));
  EXPECT_THAT(error.hint(), HasSubstr("--force"));
  EXPECT_EQ(read_bytes(directory / "toy/dataset.json"), earlier);
}

TEST(DatasetWriterTest, ForceReplacesOnlyAtTheEnd) {
  const TemporaryDirectory directory;
  make_toy(directory.path());
  const Dataset reader = Dataset::open(directory.path(), "toy");
  DatasetWriter writer(directory.path(), toy_manifest(), true);
  EXPECT_EQ(Dataset::open(directory.path(), "toy").train().size(), 2) << "the earlier one is there until the end";
  writer.finish();
  EXPECT_EQ(Dataset::open(directory.path(), "toy").train().size(), 0);
  EXPECT_THAT(names_in(directory.path()), ::testing::ElementsAre("toy"));
  EXPECT_EQ(reader.train().tokens(0)[2], 3) << "who had it open keeps reading it";
}

TEST(DatasetWriterTest, ForceDoesNotDeleteWhatIsNoDataset) {
  const TemporaryDirectory directory;
  fs::create_directory(directory / "toy");
  EXPECT_NO_THROW(make_toy(directory.path())) << "an empty directory is no obstacle";
  fs::remove(directory / "toy/dataset.json");
  EXPECT_THAT(thrown_by<UsageError>([&] { make_toy(directory.path(), true); }).what(),
              HasSubstr("is not a prepared dataset"));
  fs::remove_all(directory / "toy");
  write_bytes(directory / "toy", "a file");
  EXPECT_THROW(make_toy(directory.path(), true), UsageError);
  EXPECT_EQ(read_bytes(directory / "toy"), "a file");
}

TEST(DatasetWriterTest, WhatAKilledWriterLeftIsRemovedOrPutBack) {
  const TemporaryDirectory directory;
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    DatasetWriter writer(directory.path(), toy_manifest(), false);
    write_toy(writer);
    ::raise(SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_TRUE(fs::exists(directory / ".toy.tmp"));
  EXPECT_FALSE(fs::exists(directory / "toy"));
  make_toy(directory.path());
  EXPECT_THAT(names_in(directory.path()), ::testing::ElementsAre("toy"));

  fs::rename(directory / "toy", directory / ".toy.previous");  // killed between two renames
  EXPECT_THROW(make_toy(directory.path()), UsageError) << "the earlier dataset is put back, so it is in the way";
  EXPECT_EQ(Dataset::open(directory.path(), "toy").train().size(), 2);
}

TEST(DatasetWriterTest, TwoWritersOfOneDatasetExcludeEachOther) {
  const TemporaryDirectory directory;
  const DatasetWriter first(directory.path(), toy_manifest(), false);
  EXPECT_THAT(thrown_by<ResourceError>([&] { make_toy(directory.path()); }).what(), HasSubstr("in use"));
}

TEST(DatasetWriterTest, UnwritableDirectoryIsAResourceError) {
  const TemporaryDirectory directory;
  write_bytes(directory / "file", "");
  EXPECT_THROW(make_toy(directory / "file" / "data"), ResourceError);
  EXPECT_THROW(make_toy("/proc/lra"), ResourceError);
}

TEST(DatasetWriterTest, LabelsOutOfRangeOrWithoutSequenceAreMistakes) {
  const TemporaryDirectory directory;
  DatasetWriter writer(directory.path(), toy_manifest(), false);
  EXPECT_THROW(writer.add_label(SplitName::kTrain, 0), std::logic_error);
  const std::vector<uint8_t> tokens{1};
  writer.add_sequence(SplitName::kTest, tokens);
  EXPECT_THROW(writer.add_label(SplitName::kTest, 3), std::logic_error);
}

}  // namespace
}  // namespace lra::tasks
