// A disk that fills up during a download: an error, and the beginning is kept.
#include "engine/errors.h"
#include "harness/fetch/download.h"
#include "tests/harness/http_server.h"
#include "tests/harness/small_disk.h"

#include <gmock/gmock.h>

namespace lra::testing {
namespace {

TEST(FullDownloadDiskTest, KeepsThePartAndGoesOnWhenThereIsSpace) {
  forget_proxies();
  const SmallDisk disk(uint64_t{1} << 20);
  if (!disk.mounted()) GTEST_SKIP() << disk.why_not();
  const std::string content = file_content(size_t{3} << 20);
  const HttpServer server([&](const Request& request) {
    Reply reply = file_reply(request, content, "\"1\"");
    reply.says_length = false;  // or it would be refused before the first byte
    return reply;
  });
  const harness::Wanted wanted{.urls = {server.url()}, .target = disk / "file.gz"};
  const harness::DownloadEvents events{.progress = [](uint64_t, uint64_t) {},
                                       .verifying = [](uint64_t, uint64_t) {},
                                       .note = [](const std::string&) {},
                                       .watch = [] {}};
  const auto error = thrown_by<ResourceError>([&] { harness::download(wanted, {}, events); });
  EXPECT_THAT(error.what(), ::testing::HasSubstr("No space left"));
  EXPECT_THAT(error.hint(), ::testing::HasSubstr("free some space"));
  EXPECT_FALSE(std::filesystem::exists(wanted.target));
  const uint64_t kept = std::filesystem::file_size(disk / "file.gz.part");
  EXPECT_GT(kept, uint64_t{500'000});

  ASSERT_TRUE(disk.resize(uint64_t{8} << 20));
  harness::download(wanted, {}, events);
  EXPECT_TRUE(read_bytes(wanted.target) == content);
  EXPECT_EQ(server.requests().back().from_byte(), kept);
}

}  // namespace
}  // namespace lra::testing
