#include "tasks/location.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <map>

#include "engine/errors.h"

namespace lra::tasks {
namespace {

/// Sets the three variables for a test and puts the earlier values back.
class LocationTest : public ::testing::Test {
 protected:
  LocationTest() {
    for (const char* name : {"LRA_DATA", "XDG_CACHE_HOME", "HOME"}) {
      const char* value = std::getenv(name);
      if (value != nullptr) earlier_[name] = value;
      ::unsetenv(name);
    }
  }
  ~LocationTest() override {
    for (const char* name : {"LRA_DATA", "XDG_CACHE_HOME", "HOME"}) ::unsetenv(name);
    for (const auto& [name, value] : earlier_) ::setenv(name.c_str(), value.c_str(), 1);
  }

 private:
  std::map<std::string, std::string> earlier_;
};

TEST_F(LocationTest, FlagWinsThenVariableThenCacheThenHome) {
  EXPECT_THROW(data_directory(""), UsageError);
  ::setenv("HOME", "/home/me", 1);
  EXPECT_EQ(data_directory(""), "/home/me/.cache/lra");
  ::setenv("XDG_CACHE_HOME", "/cache", 1);
  EXPECT_EQ(data_directory(""), "/cache/lra");
  ::setenv("LRA_DATA", "/data", 1);
  EXPECT_EQ(data_directory(""), "/data");
  EXPECT_EQ(data_directory("here"), "here");
}

TEST_F(LocationTest, EmptyVariablesCountAsUnset) {
  ::setenv("LRA_DATA", "", 1);
  ::setenv("XDG_CACHE_HOME", "", 1);
  ::setenv("HOME", "/home/me", 1);
  EXPECT_EQ(data_directory(""), "/home/me/.cache/lra");
}

TEST(ShellQuotedTest, QuotesOnlyWhereTheShellNeedsIt) {
  EXPECT_EQ(shell_quoted("/data/lra-1.0"), "/data/lra-1.0");
  EXPECT_EQ(shell_quoted("/my data"), "'/my data'");
  EXPECT_EQ(shell_quoted("it's"), "'it'\\''s'");
  EXPECT_EQ(shell_quoted(""), "''");
}

}  // namespace
}  // namespace lra::tasks
