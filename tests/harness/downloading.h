// A download into a directory of its own, with waits of milliseconds, and what must be there at its end.
#pragma once

#include <gmock/gmock.h>

#include "engine/errors.h"
#include "engine/io/sha256.h"
#include "harness/fetch/download.h"
#include "tests/harness/http_server.h"
#include "tests/temporary_directory.h"

namespace lra::testing {

using harness::Downloaded;
using harness::DownloadOptions;
using harness::Wanted;

constexpr size_t kBytes = 300'000;
inline const std::string kTag = "\"version 1\"";

/// Stands for what ends a process in the middle.
struct Stopped {};

class DownloadingTest : public ::testing::Test {
 protected:
  void SetUp() override { forget_proxies(); }

  std::filesystem::path target() const { return directory_ / "file.gz"; }
  std::filesystem::path part() const { return directory_ / "file.gz.part"; }

  Wanted wanted(const HttpServer& server) const {
    return {.urls = {server.url()}, .target = target(), .advice = "try this"};
  }
  Wanted wanted_as_published(const HttpServer& server, const std::string& content) const {
    Wanted file = wanted(server);
    file.size_bytes = content.size();
    file.sha256 = io::sha256_hex(content);
    return file;
  }

  Downloaded get(const Wanted& file) {
    return harness::download(file, options_,
                             {.progress =
                                  [this](uint64_t done, uint64_t total) {
                                    done_ = done;
                                    total_ = total;
                                  },
                              .verifying = [](uint64_t, uint64_t) {},
                              .note = [this](const std::string& line) { notes_ += line + "\n"; },
                              .watch =
                                  [this] {
                                    if (done_ >= stop_at_) throw Stopped{};
                                  }});
  }

  /// Leaves the first bytes of what the server has, as a process that was killed.
  void get_first(const Wanted& file, uint64_t bytes) {
    stop_at_ = bytes;
    EXPECT_THROW(get(file), Stopped);
    stop_at_ = UINT64_MAX;
    ASSERT_GE(std::filesystem::file_size(part()), bytes);
    ASSERT_FALSE(std::filesystem::exists(target()));
  }

  void expect_complete(const std::string& content) const {
    EXPECT_TRUE(read_bytes(target()) == content);
    EXPECT_FALSE(std::filesystem::exists(part()));
    EXPECT_FALSE(std::filesystem::exists(part().string() + ".json"));
  }

  /// Nothing under the file's name, and an error that says all of `parts`.
  void expect_failure(const Wanted& file, const std::vector<std::string>& parts) {
    const auto error = thrown_by<DataError>([&] { get(file); });
    for (const std::string& text : parts) EXPECT_THAT(error.what(), ::testing::HasSubstr(text));
    EXPECT_EQ(error.hint(), "try this");
    EXPECT_FALSE(std::filesystem::exists(target()));
  }

  const TemporaryDirectory directory_;
  const std::string content_ = file_content(kBytes);
  DownloadOptions options_{.max_attempts = 3, .timeout_s = 5, .first_wait_s = 0.002, .longest_wait_s = 0.01};
  std::string notes_;
  uint64_t done_ = 0, total_ = 0, stop_at_ = UINT64_MAX;
};

}  // namespace lra::testing
