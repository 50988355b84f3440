// Downloads from servers that fail, mislead, drip or are not there.
#include "tests/harness/downloading.h"

namespace lra::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class FailingDownloadTest : public DownloadingTest {};

TEST_F(FailingDownloadTest, AnErrorOfTheClientIsNotRetried) {
  const HttpServer server([&](const Request&) { return Reply{.status = 404, .body = "no such thing"}; });
  expect_failure(wanted(server), {"file.gz", server.url(), "404", "not there"});
  EXPECT_EQ(server.count(), 1U);
  EXPECT_FALSE(std::filesystem::exists(part()));
}

TEST_F(FailingDownloadTest, AnErrorOfTheServerIsRetried) {
  const HttpServer server([&](const Request& request) {
    if (request.number < 2) return Reply{.status = 503, .headers = {"Retry-After: 3600"}, .body = "busy"};
    return file_reply(request, content_, kTag);
  });
  get(wanted(server));  // an hour is more than options_.longest_wait_s
  expect_complete(content_);
  EXPECT_EQ(server.count(), 3U);
  EXPECT_THAT(notes_, HasSubstr("the server answers 503; attempt 3 of 3"));
}

TEST_F(FailingDownloadTest, AttemptsAreLimited) {
  const HttpServer server([&](const Request&) { return Reply{.status = 500}; });
  expect_failure(wanted(server), {"500", "attempt 3 of 3"});
  EXPECT_EQ(server.count(), 3U);
}

TEST_F(FailingDownloadTest, OnlyAttemptsThatGetNoFartherCount) {
  const std::string large = file_content(5 * harness::kFartherBytes);
  const HttpServer server([&](const Request& request) {
    Reply reply = file_reply(request, large, kTag);
    reply.cut_after = harness::kFartherBytes;
    return reply;
  });
  options_.max_attempts = 2;
  get(wanted(server));
  expect_complete(large);
  EXPECT_EQ(server.count(), 5U);
}

TEST_F(FailingDownloadTest, TheNextAddressIsTried) {
  const HttpServer gone([&](const Request&) { return Reply{.status = 403}; });
  const HttpServer other([&](const Request&) { return Reply{.body = file_content(kBytes + 1, 3)}; });
  const HttpServer altered([&](const Request&) { return Reply{.body = file_content(kBytes, 3)}; });
  const HttpServer sound([&](const Request& request) { return file_reply(request, content_, kTag); });
  Wanted file = wanted_as_published(sound, content_);
  file.urls = {gone.url(), other.url(), altered.url(), sound.url()};
  EXPECT_EQ(get(file).url, sound.url());
  expect_complete(content_);
  EXPECT_EQ(gone.count() + other.count() + altered.count() + sound.count(), 4U);
  EXPECT_THAT(notes_, AllOf(HasSubstr("403"), HasSubstr("300001 bytes, expected 300000"), HasSubstr("SHA-256")));
}

TEST_F(FailingDownloadTest, SilenceAndDrippingEndAnAttempt) {
  const HttpServer server([&](const Request& request) {
    Reply reply = file_reply(request, content_, kTag);
    if (request.number == 0) {
      reply.cut_after = 100'000;
      reply.silence = std::chrono::minutes(1);
    } else if (request.number == 1) {
      reply.piece_bytes = 1;
      reply.between = std::chrono::milliseconds(50);
    } else if (request.number == 2) {
      std::this_thread::sleep_for(std::chrono::milliseconds(700));  // before its first byte
    }
    return reply;
  });
  options_.timeout_s = 0.3;
  options_.max_attempts = 4;
  get(wanted(server));
  expect_complete(content_);
  EXPECT_EQ(server.count(), 4U);
  EXPECT_THAT(notes_, HasSubstr("less than 100 bytes/s for 0.3 s"));
}

TEST_F(FailingDownloadTest, RedirectsAreFollowedSoFar) {
  const HttpServer server([&](const Request& request) {
    if (request.target == "/loop") return Reply{.status = 302, .headers = {"Location: /loop"}};
    if (request.target == "/file") return Reply{.status = 301, .headers = {"Location: /moved"}, .body = "moved"};
    if (request.target == "/away") return Reply{.status = 302, .headers = {"Location: file:///etc/passwd"}};
    if (request.target == "/nowhere") return Reply{.status = 302};
    return file_reply(request, content_, kTag);
  });
  get(wanted(server));
  expect_complete(content_);
  std::filesystem::remove(target());
  const size_t before = server.count();
  Wanted file = wanted(server);
  file.urls = {server.url("/loop")};
  expect_failure(file, {"redirects"});
  EXPECT_EQ(server.count() - before, 6U);
  file.urls = {server.url("/away")};
  expect_failure(file, {"rotocol"});
  file.urls = {server.url("/nowhere")};
  expect_failure(file, {"302"});
}

TEST_F(FailingDownloadTest, ALengthThatIsNotTrueIsNotBelieved) {
  const HttpServer longer([&](const Request& request) {
    Reply reply = file_reply(request, content_, kTag);
    reply.length = reply.body.size() + 10;
    return reply;
  });
  expect_failure(wanted(longer), {"attempt 3 of 3"});
  const HttpServer shorter([&](const Request& request) {
    Reply reply = file_reply(request, content_, kTag);
    reply.length = 1000;
    return reply;
  });
  Wanted file = wanted_as_published(shorter, content_);
  std::filesystem::remove(part());
  expect_failure(file, {"the server offers 1000 bytes, expected 300000"});
  file.size_bytes.reset();
  expect_failure(file, {"SHA-256"});
}

TEST_F(FailingDownloadTest, MoreThanTheFileIsRefused) {
  const HttpServer server([&](const Request&) { return Reply{.body = content_ + content_, .says_length = false}; });
  expect_failure(wanted_as_published(server, content_), {"more than the 300000 bytes"});
}

TEST_F(FailingDownloadTest, AWrongHashLeavesNothing) {
  const HttpServer server([&](const Request& request) { return file_reply(request, content_, kTag); });
  Wanted file = wanted(server);
  file.sha256 = std::string(64, 'a');
  expect_failure(file, {io::sha256_hex(content_), *file.sha256});
  EXPECT_EQ(server.count(), 1U);
  EXPECT_FALSE(std::filesystem::exists(part()));
}

TEST_F(FailingDownloadTest, WithoutAHashAFileMustBeAnArchiveAndLargeEnough) {
  const std::string archive = "\x1f\x8b" + content_;
  const HttpServer page([&](const Request& request) { return file_reply(request, "<html>\x1b[2J", kTag); });
  const HttpServer server([&](const Request& request) { return file_reply(request, archive, kTag); });
  Wanted file = wanted(page);
  file.is_archive = true;
  expect_failure(file, {"the 10 B that came are no archive, but begin with `<html>\\x1b[2J`", page.url()});
  EXPECT_FALSE(std::filesystem::exists(part()));
  file.urls = {page.url(), server.url()};
  file.least_bytes = archive.size() + 1;
  expect_failure(file, {"no archive", "only 293 KiB came, expected at least 293 KiB"});
  file.least_bytes = archive.size();
  get(file);
  expect_complete(archive);
}

TEST_F(FailingDownloadTest, AHashIsEnough) {
  const HttpServer server([&](const Request& request) { return file_reply(request, content_, kTag); });
  Wanted file = wanted_as_published(server, content_);
  file.is_archive = true;
  file.least_bytes = 2 * content_.size();
  get(file);
  expect_complete(content_);
}

TEST_F(FailingDownloadTest, ADiskThatWouldBeFullIsSaidBeforeTheBody) {
  const HttpServer server([&](const Request&) { return Reply{.body = content_, .length = size_t{1} << 60}; });
  const auto error = thrown_by<ResourceError>([&] { get(wanted(server)); });
  EXPECT_THAT(error.what(), AllOf(HasSubstr("1152921504606846976 more bytes"), HasSubstr("free")));
  EXPECT_EQ(std::filesystem::file_size(part()), 0U);
}

TEST_F(FailingDownloadTest, NobodyThereIsAnError) {
  std::string url;
  {
    const HttpServer server([](const Request&) { return Reply{}; });
    url = server.url();
  }
  expect_failure({.urls = {url}, .target = target(), .advice = "try this"}, {url, "onnect", "attempt 3 of 3"});
}

TEST_F(FailingDownloadTest, WaitsComeFromTheSeed) {
  const HttpServer server([](const Request&) { return Reply{.status = 503}; });
  const auto notes_of = [&](uint64_t seed) {
    notes_.clear();
    options_.seed = seed;
    options_.first_wait_s = 0.02;
    options_.longest_wait_s = 1;
    options_.max_attempts = 4;
    expect_failure(wanted(server), {"503"});
    return notes_;
  };
  const std::string first = notes_of(1);
  EXPECT_EQ(notes_of(1), first);
  EXPECT_NE(notes_of(2), first);
}

}  // namespace
}  // namespace lra::testing
