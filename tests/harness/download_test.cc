// Downloads that are complete, continued or begun again.
#include "harness/fetch/http.h"
#include "tests/harness/downloading.h"

namespace lra::testing {
namespace {

using harness::ContentRange;
using ::testing::AllOf;
using ::testing::HasSubstr;

class DownloadTest : public DownloadingTest {};

TEST_F(DownloadTest, AFileArrivesWholeAndIsHashed) {
  const HttpServer server([&](const Request& request) { return file_reply(request, content_, kTag); });
  const Downloaded done = get(wanted_as_published(server, content_));
  expect_complete(content_);
  EXPECT_EQ(done.bytes, kBytes);
  EXPECT_EQ(done.sha256, io::sha256_hex(content_));
  EXPECT_EQ(done.url, server.url());
  EXPECT_EQ(done_, kBytes);
  EXPECT_EQ(total_, kBytes);
  EXPECT_EQ(server.count(), 1U);
  EXPECT_EQ(notes_, "");
}

TEST_F(DownloadTest, AFileOfUnknownSizeEndsWithItsConnection) {
  const HttpServer server([&](const Request&) { return Reply{.body = content_, .says_length = false}; });
  get(wanted(server));
  expect_complete(content_);
  EXPECT_EQ(total_, 0U);
}

TEST_F(DownloadTest, ATruncatedBodyIsContinuedWithIfRange) {
  const HttpServer server([&](const Request& request) {
    Reply reply = file_reply(request, content_, kTag);
    if (request.number == 0) reply.cut_after = 100'000;
    return reply;
  });
  get(wanted(server));
  expect_complete(content_);
  const std::vector<Request> requests = server.requests();
  ASSERT_EQ(requests.size(), 2U);
  EXPECT_EQ(requests[0].header("range"), "");
  EXPECT_EQ(requests[1].header("range"), "bytes=100000-");
  EXPECT_EQ(requests[1].header("if-range"), kTag);
  EXPECT_THAT(notes_, AllOf(HasSubstr("attempt 2 of 3"), HasSubstr("going on after 97.7 KiB")));
}

TEST_F(DownloadTest, AnotherProcessGoesOnWhereOneWasStopped) {
  const HttpServer server([&](const Request& request) {
    Reply reply = file_reply(request, content_, kTag);
    if (request.number == 0) {
      reply.cut_after = 60'000;
      reply.silence = std::chrono::seconds(60);  // until the client is stopped: it never has the rest
    }
    return reply;
  });
  get_first(wanted(server), 50'000);
  const uint64_t there = std::filesystem::file_size(part());
  get(wanted(server));
  expect_complete(content_);
  ASSERT_EQ(server.count(), 2U);
  EXPECT_EQ(server.requests().back().from_byte(), there);
}

TEST_F(DownloadTest, AServerWithoutRangesStartsOver) {
  const HttpServer server([&](const Request& request) {
    return Reply{
        .headers = {"ETag: " + kTag}, .body = content_, .cut_after = request.number == 0 ? 100'000 : std::string::npos};
  });
  get(wanted(server));
  expect_complete(content_);
  EXPECT_THAT(notes_, HasSubstr("the server does not continue downloads: starting over"));
}

TEST_F(DownloadTest, AFileThatChangedStartsOver) {
  const std::string changed = file_content(kBytes + 10, 2);
  const HttpServer server([&](const Request& request) {
    if (request.number > 0) return file_reply(request, changed, "\"version 2\"");
    Reply reply = file_reply(request, content_, kTag);
    reply.cut_after = 100'000;
    return reply;
  });
  get(wanted(server));
  expect_complete(changed);
  EXPECT_THAT(notes_, HasSubstr("the file at the server has changed: starting over"));
}

TEST_F(DownloadTest, AChangedFileIsNoticedWhereIfRangeIsIgnored) {
  for (const bool says_version : {true, false}) {  // by its ETag, by its size
    const std::string changed = file_content(kBytes + 10, 2);
    const HttpServer server([&](const Request& request) {
      if (request.number > 0) {
        Request without_condition = request;
        without_condition.headers.erase("if-range");
        Reply reply = file_reply(without_condition, changed, "\"version 2\"");
        if (!says_version) reply.headers.erase(reply.headers.begin());
        return reply;
      }
      Reply reply = file_reply(request, content_, kTag);
      reply.cut_after = 100'000;
      return reply;
    });
    get(wanted(server));
    expect_complete(changed);
    EXPECT_EQ(server.count(), 3U);
    std::filesystem::remove(target());
  }
}

TEST_F(DownloadTest, OtherBytesThanAskedForAreNotAppended) {
  const HttpServer server([&](const Request& request) {
    Reply reply = file_reply(request, content_, kTag);
    if (request.number == 0) reply.cut_after = 100'000;
    if (request.number == 1) {  // ten bytes too early
      reply.headers.back() = "Content-Range: bytes 99990-299999/300000";
      reply.body = content_.substr(99'990);
    }
    return reply;
  });
  get(wanted(server));
  expect_complete(content_);
  EXPECT_EQ(server.requests().back().header("range"), "");
}

TEST_F(DownloadTest, WithoutAVersionOrAHashItStartsOver) {
  const HttpServer server([&](const Request& request) {
    return Reply{
        .headers = {"ETag: W/\"weak\""}, .body = content_, .cut_after = request.number == 0 ? 9 : std::string::npos};
  });
  get(wanted(server));
  expect_complete(content_);
  EXPECT_EQ(server.requests().back().header("range"), "");
  EXPECT_THAT(notes_, HasSubstr("nothing tells which version"));
}

TEST_F(DownloadTest, ADateServesWhereTheTagIsWeak) {
  const std::string date = "Tue, 10 Nov 2020 10:00:00 GMT";
  const HttpServer server([&](const Request& request) {
    Reply reply = file_reply(request, content_, date);
    reply.headers[0] = "ETag: W/\"weak\"";
    reply.headers.push_back("Last-Modified: " + date);
    if (request.number == 0) reply.cut_after = 100'000;
    return reply;
  });
  get(wanted(server));
  expect_complete(content_);
  EXPECT_EQ(server.requests().back().header("if-range"), date);
}

TEST_F(DownloadTest, PiecesThatDoNotFitAreFetchedAgainOnce) {
  const std::string changed = file_content(kBytes, 2);
  const HttpServer server([&](const Request& request) {
    Reply reply = file_reply(request, request.number == 0 ? content_ : changed, kTag);
    reply.headers.erase(reply.headers.begin());  // no version is told
    if (request.number == 0) reply.cut_after = 100'000;
    return reply;
  });
  get(wanted_as_published(server, changed));
  expect_complete(changed);
  ASSERT_EQ(server.count(), 3U);
  EXPECT_EQ(server.requests()[1].from_byte(), 100'000U);
  EXPECT_THAT(notes_, HasSubstr("it came in several pieces: starting over"));
}

TEST_F(DownloadTest, APartWithADamagedNoteIsNotTrusted) {
  const HttpServer server([&](const Request& request) { return file_reply(request, content_, kTag); });
  write_bytes(part(), "something");
  for (const char* note : {"", "{\"url\": 3}", "[[[["}) {
    write_bytes(part().string() + ".json", note);
    get(wanted(server));
    expect_complete(content_);
    EXPECT_EQ(server.requests().back().header("range"), "");
    std::filesystem::rename(target(), part());
  }
}

TEST_F(DownloadTest, ACompletePartOnlyLacksItsName) {
  const HttpServer server([&](const Request& request) {
    Reply reply = file_reply(request, content_, kTag);
    if (request.number == 0) reply.says_length = false;
    return reply;
  });
  stop_at_ = kBytes;
  EXPECT_THROW(get(wanted(server)), Stopped);
  stop_at_ = UINT64_MAX;
  get(wanted(server));  // its size was not told: the server says 416
  expect_complete(content_);
  std::filesystem::rename(target(), part());
  const size_t before = server.count();
  get(wanted_as_published(server, content_));  // its size is known
  expect_complete(content_);
  EXPECT_EQ(server.count(), before);
}

TEST_F(DownloadTest, APartThatIsTooLongStartsOver) {
  const HttpServer server([&](const Request& request) { return file_reply(request, content_, kTag); });
  write_bytes(part(), content_ + "more");
  get(wanted_as_published(server, content_));
  expect_complete(content_);
  write_bytes(part(), content_ + "more");
  write_bytes(part().string() + ".json",
              R"({"url": ")" + server.url() + R"(", "validator": "\"version 1\"", "total_bytes": null})");
  std::filesystem::remove(target());
  get(wanted(server));
  expect_complete(content_);
  EXPECT_THAT(notes_, HasSubstr("(416)"));
}

TEST_F(DownloadTest, AMirrorGoesOnWhereTheHashIsKnown) {
  const HttpServer mirror([&](const Request& request) { return file_reply(request, content_, "\"another\""); });
  for (const bool known : {true, false}) {
    Wanted file = known ? wanted_as_published(mirror, content_) : wanted(mirror);
    const HttpServer breaking([&](const Request& request) {
      if (request.number > 0) return Reply{.status = 404};
      Reply reply = file_reply(request, content_, kTag);
      reply.cut_after = 100'000;
      return reply;
    });
    file.urls = {breaking.url(), mirror.url()};
    get(file);
    expect_complete(content_);
    EXPECT_EQ(mirror.requests().back().from_byte(), known ? 100'000U : 0U);
    EXPECT_EQ(mirror.requests().back().header("if-range"), "");
    std::filesystem::remove(target());
  }
}

TEST(ContentRangeTest, IsReadOrRefused) {
  using harness::parse_content_range;
  EXPECT_EQ(parse_content_range("bytes 5-9/10"), (ContentRange{5, 10}));
  EXPECT_EQ(parse_content_range("Bytes */10"), (ContentRange{{}, 10}));
  EXPECT_EQ(parse_content_range("bytes 5-9/*"), (ContentRange{5, {}}));
  for (const char* text : {"bytes */*", "", "bytes", "bytes ", "bytes 5-9", "bytes 9-5/10", "bytes 5-10/10",
                           "bytes -9/10", "bytes 5-/10", "bytes 5-9/x", "bytes x-9/10", "items 5-9/10", "bytes 5-9/",
                           "bytes /", "bytes 5-99999999999999999999/*", "bytes 5 9/10", "/", "bytes5-9/10"}) {
    EXPECT_EQ(parse_content_range(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace lra::testing
