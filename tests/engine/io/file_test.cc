#include "engine/io/file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>

#include "engine/errors.h"
#include "tests/temporary_directory.h"

namespace lra::io {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using testing::read_bytes;
using testing::TemporaryDirectory;
using testing::thrown_by;
using testing::write_bytes;

size_t entries(const fs::path& directory) {
  return static_cast<size_t>(std::distance(fs::directory_iterator(directory), fs::directory_iterator()));
}

TEST(AtomicFileTest, AppearsOnlyAtCommit) {
  const TemporaryDirectory directory;
  AtomicFile file(directory / "a.txt");
  file.write("hello ");
  file.write("world");
  EXPECT_FALSE(fs::exists(directory / "a.txt"));
  file.commit();
  EXPECT_EQ(read_bytes(directory / "a.txt"), "hello world");
  EXPECT_EQ(entries(directory.path()), 1U);
}

TEST(AtomicFileTest, WithoutCommitKeepsTheEarlierFileAndLeavesNothing) {
  const TemporaryDirectory directory;
  write_bytes(directory / "a.txt", "earlier");
  {
    AtomicFile file(directory / "a.txt");
    file.write("new");
  }
  EXPECT_EQ(read_bytes(directory / "a.txt"), "earlier");
  EXPECT_EQ(entries(directory.path()), 1U);
}

TEST(AtomicFileTest, OverwritesWhatWasWritten) {
  const TemporaryDirectory directory;
  AtomicFile file(directory / "a");
  file.write("0123456789");
  file.write_at(2, std::as_bytes(std::span("ab", 2)));
  file.commit();
  EXPECT_EQ(read_bytes(directory / "a"), "01ab456789");
}

TEST(AtomicFileTest, FollowsASymbolicLink) {
  const TemporaryDirectory directory;
  write_bytes(directory / "target", "earlier");
  fs::create_symlink("target", directory / "link");
  write_file_atomically(directory / "link", std::string_view("new"));
  EXPECT_TRUE(fs::is_symlink(directory / "link"));
  EXPECT_EQ(read_bytes(directory / "target"), "new");
}

TEST(AtomicFileTest, WritesADeviceWithoutReplacingIt) {
  write_file_atomically("/dev/null", std::string_view("gone"));
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
}

TEST(AtomicFileTest, NamesTheBytesNeededWhenTheDiskIsFull) {
  const auto error = thrown_by<ResourceError>([] { write_file_atomically("/dev/full", std::string_view("12345")); });
  EXPECT_THAT(error.what(), HasSubstr("`/dev/full`: No space left on device"));
  EXPECT_THAT(error.hint(), HasSubstr("at least 5 bytes are needed"));
  EXPECT_EQ(error.exit_code(), kExitResources);
}

TEST(AtomicFileTest, BelowARegularFileIsAResourceErrorWithAHint) {
  const TemporaryDirectory directory;
  write_bytes(directory / "file", "");
  const auto error = thrown_by<ResourceError>([&] { AtomicFile file(directory / "file" / "x"); });
  EXPECT_THAT(error.what(), HasSubstr("Not a directory"));
  EXPECT_THAT(error.hint(), HasSubstr("choose another path"));
}

TEST(AtomicFileTest, InAMissingDirectoryTellsHowToCreateIt) {
  const TemporaryDirectory directory;
  const auto error = thrown_by<ResourceError>([&] { AtomicFile file(directory / "no" / "x"); });
  EXPECT_THAT(error.hint(), HasSubstr("mkdir -p '" + (directory / "no").string() + "'"));
}

TEST(AtomicFileTest, ADirectoryIsAUsageError) {
  const TemporaryDirectory directory;
  const auto error = thrown_by<UsageError>([&] { AtomicFile file(directory.path()); });
  EXPECT_THAT(error.what(), HasSubstr("is a directory"));
}

TEST(StaleTemporariesTest, OfKilledWritersAreRemovedAndOfLivingOnesKept) {
  const TemporaryDirectory directory;
  write_bytes(directory / ".a.npy.tmp-1-0", "left by a killed process");
  write_bytes(directory / "a.npy", "finished");
  AtomicFile living(directory / "b.npy");
  living.write("part");
  EXPECT_EQ(remove_stale_temporaries(directory.path()), 1);
  living.commit();
  EXPECT_EQ(read_bytes(directory / "b.npy"), "part");
  EXPECT_EQ(read_bytes(directory / "a.npy"), "finished");
  EXPECT_EQ(entries(directory.path()), 2U);
}

TEST(ReadTextFileTest, ReadsFilesWhoseSizeIsUnknown) { EXPECT_THAT(read_text_file("/proc/self/stat"), HasSubstr("(")); }

TEST(ReadTextFileTest, MissingDirectoryAndTooLargeAreDataErrors) {
  const TemporaryDirectory directory;
  write_bytes(directory / "big", std::string(100'000, 'x'));
  EXPECT_EQ(read_text_file(directory / "big").size(), 100'000U);
  EXPECT_THAT(thrown_by<DataError>([&] { read_text_file(directory / "no"); }).what(), HasSubstr("No such file"));
  EXPECT_THAT(thrown_by<DataError>([&] { read_text_file(directory.path()); }).what(), HasSubstr("a directory"));
  EXPECT_THAT(thrown_by<DataError>([&] { read_text_file(directory / "big", 99'999); }).what(), HasSubstr("larger"));
}

TEST(MappedFileTest, MapsContentAndAnEmptyFile) {
  const TemporaryDirectory directory;
  write_bytes(directory / "a", "abc");
  write_bytes(directory / "empty", "");
  MappedFile file(directory / "a");
  const MappedFile moved = std::move(file);
  EXPECT_EQ(moved.text(), "abc");
  EXPECT_TRUE(MappedFile(directory / "empty").bytes().empty());
  EXPECT_THROW(MappedFile(directory / "no"), DataError);
  EXPECT_THROW(MappedFile("/dev/null"), DataError);
}

TEST(CreateDirectoriesTest, AcceptsExistingOnesAndRefusesAFileInTheWay) {
  const TemporaryDirectory directory;
  io::create_directories(directory / "a/b/c");
  io::create_directories(directory / "a/b/c");
  EXPECT_TRUE(fs::is_directory(directory / "a/b/c"));
  write_bytes(directory / "file", "");
  EXPECT_THAT(thrown_by<ResourceError>([&] { io::create_directories(directory / "file" / "x"); }).what(),
              HasSubstr("Not a directory"));
  EXPECT_THROW(io::create_directories(directory / "file"), ResourceError);
}

TEST(FreeDiskBytesTest, IsKnownForAPathThatDoesNotExistYet) {
  const TemporaryDirectory directory;
  EXPECT_GT(free_disk_bytes(directory / "not/yet"), 0U);
}

}  // namespace
}  // namespace lra::io
