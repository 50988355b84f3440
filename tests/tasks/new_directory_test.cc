// Directories that appear complete or not at all.
#include "tasks/new_directory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/errors.h"
#include "tests/temporary_directory.h"

namespace lra::tasks {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using testing::TemporaryDirectory;

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

TEST(NewDirectoryTest, AppearsWhenItIsPublished) {
  const TemporaryDirectory parent;
  for (const char* name : {"a", "b/c/", "empty"}) {
    const fs::path target = parent / name;
    if (std::string_view(name) == "empty") fs::create_directories(target);
    NewDirectory directory(target);
    directory.write("x/y.txt", bytes_of("why"));
    directory.write("z.txt", bytes_of(""));
    EXPECT_FALSE(fs::exists(target / "z.txt"));
    directory.publish();
    EXPECT_EQ(testing::read_bytes(target / "x/y.txt"), "why");
    EXPECT_EQ(testing::read_bytes(target / "z.txt"), "");
  }
}

TEST(NewDirectoryTest, LeavesNothingWhenItIsGivenUp) {
  const TemporaryDirectory parent;
  fs::create_directories(parent / ".a.tmp/left");  // by a process that was killed
  {
    NewDirectory directory(parent / "a");
    EXPECT_FALSE(fs::exists(parent / ".a.tmp/left"));
    directory.write("x.txt", bytes_of("x"));
  }
  EXPECT_TRUE(fs::is_empty(parent.path()));
}

TEST(NewDirectoryTest, RefusesToReplaceAnything) {
  const TemporaryDirectory parent;
  testing::write_bytes(parent / "file", "x");
  const auto refusal = [](const fs::path& target) {
    return std::string(testing::thrown_by<UsageError>([&] { const NewDirectory directory(target); }).what());
  };
  EXPECT_THAT(refusal(parent / "file"), HasSubstr("is not an empty directory"));
  EXPECT_THAT(refusal(parent.path()), HasSubstr("is not an empty directory"));
  EXPECT_EQ(testing::read_bytes(parent / "file"), "x");
}

TEST(NewDirectoryTest, RefusesTheWorkingDirectory) {
  const TemporaryDirectory parent;
  const fs::path before = fs::current_path();
  fs::current_path(parent.path());
  const auto refusal = testing::thrown_by<UsageError>([] { const NewDirectory directory("."); });
  fs::current_path(before);
  EXPECT_THAT(refusal.what(), HasSubstr("working directory"));
  EXPECT_EQ(refusal.hint(), "--output ./images");
  EXPECT_TRUE(fs::is_empty(parent.path()));
}

TEST(NewDirectoryTest, FollowsLinksAndDots) {
  const TemporaryDirectory parent;
  fs::create_directories(parent / "real");
  fs::create_directory_symlink(parent / "real", parent / "link");
  for (const char* name : {"link", "new/../dots/."}) {
    NewDirectory directory(parent / name);
    directory.write("x.txt", bytes_of("x"));
    directory.publish();
  }
  EXPECT_EQ(testing::read_bytes(parent / "real/x.txt"), "x");
  EXPECT_EQ(testing::read_bytes(parent / "dots/x.txt"), "x");
  EXPECT_EQ(std::distance(fs::directory_iterator(parent.path()), {}), 3);
}

}  // namespace
}  // namespace lra::tasks
