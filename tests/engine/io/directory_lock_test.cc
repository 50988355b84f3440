#include "engine/io/directory_lock.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <optional>

#include "engine/errors.h"
#include "tests/temporary_directory.h"

namespace lra::io {
namespace {

using ::testing::HasSubstr;
using testing::TemporaryDirectory;
using testing::thrown_by;

TEST(DirectoryLockTest, SecondOwnerIsRefusedWithTheProcessOfTheFirst) {
  const TemporaryDirectory directory;
  const DirectoryLock first(directory.path(), "the run");
  const auto error = thrown_by<ResourceError>([&] { DirectoryLock(directory.path(), "the run"); });
  EXPECT_THAT(error.what(), HasSubstr("the run in `" + directory.path().string() + "` is in use"));
  EXPECT_THAT(error.what(), HasSubstr("process id " + std::to_string(::getpid())));
}

TEST(DirectoryLockTest, IsFreeAgainAfterItsOwner) {
  const TemporaryDirectory directory;
  std::optional<DirectoryLock> lock(std::in_place, directory.path(), "the run");
  lock.reset();
  EXPECT_NO_THROW(DirectoryLock(directory.path(), "the run"));
}

TEST(DirectoryLockTest, LocksOfOtherNamesAreIndependent) {
  const TemporaryDirectory directory;
  const DirectoryLock first(directory.path(), "a", ".a.lock");
  EXPECT_NO_THROW(DirectoryLock(directory.path(), "b", ".b.lock"));
}

TEST(DirectoryLockTest, MissingDirectoryIsAResourceError) {
  EXPECT_THROW(DirectoryLock("/nonexistent/directory", "the run"), ResourceError);
}

}  // namespace
}  // namespace lra::io
