// `lra data fetch` as a user types it: files, messages, exit codes, kills and two processes at once.
#include "engine/io/sha256.h"
#include "tests/harness/http_server.h"
#include "tests/harness/program.h"
#include "tests/tasks/archive_builder.h"

namespace lra::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

const std::string kTag = "\"version 1\"";

/// Bytes that begin as an archive does.
std::string archive_content(uint64_t version = 1) { return "\x1f\x8b" + file_content(499'998, version); }

class FetchTest : public ProgramTest {
 protected:
  void SetUp() override { forget_proxies(); }

  fs::path file() const { return path("data") / "downloads" / "lra_release.gz"; }
  fs::path part() const { return file().string() + ".part"; }
  fs::path record() const { return file().string() + ".sha256"; }

  Arguments fetch(const HttpServer& server, const Arguments& more = {}) const {
    const Arguments base = {"data", "fetch", "listops", "--data", text("data"), "--url", server.url("/lra_release.gz")};
    return base + more;
  }
  HttpServer::Script sound() const {
    return [this](const Request& request) { return file_reply(request, content_, kTag); };
  }
  /// Half a second for all of it, so that something can happen in the middle.
  HttpServer::Script slow() const {
    return [this](const Request& request) {
      Reply reply = file_reply(request, content_, kTag);
      reply.piece_bytes = 10'000;
      reply.between = std::chrono::milliseconds(10);
      return reply;
    };
  }
  bool has_part(uint64_t bytes) const {
    std::error_code error;
    const uint64_t there = fs::file_size(part(), error);
    return !error && there >= bytes;
  }

  const std::string content_ = archive_content();
};

TEST_F(FetchTest, FetchesOnceRecordsTheHashAndSaysWhatIsNext) {
  const HttpServer server(sound());
  const Outcome first = run(fetch(server));
  EXPECT_EQ(first.exit_code, 0) << first.err;
  EXPECT_TRUE(read_bytes(file()) == content_);
  EXPECT_EQ(read_bytes(record()), io::sha256_hex(content_) + "  lra_release.gz\n");
  EXPECT_THAT(first.err, AllOf(HasSubstr("about 7.66 GiB"), HasSubstr("licence: "), HasSubstr("SHA-256: none")));
  EXPECT_THAT(first.out, AllOf(HasSubstr("500000 bytes"), HasSubstr(io::sha256_hex(content_)),
                               HasSubstr("next: lra data import listops --from " + file().string() + " --data ")));
  EXPECT_FALSE(fs::exists(part()));

  const Outcome again = run(fetch(server, {"--json"}));
  EXPECT_EQ(again.exit_code, 0) << again.err;
  EXPECT_EQ(server.count(), 1U);
  const nlohmann::json json = again.json();
  EXPECT_EQ(json["task"], "listops");
  EXPECT_EQ(json["files"][0]["sha256"], io::sha256_hex(content_));
  EXPECT_EQ(json["files"][0]["bytes"], content_.size());
  EXPECT_EQ(json["files"][0]["sha256_is_published"], false);
  EXPECT_TRUE(json["files"][0]["url"].is_null());
}

TEST_F(FetchTest, AKilledDownloadGoesOn) {
  const HttpServer server(slow());
  uint64_t there = 0;
  for (const uint64_t bytes : {100'000, 300'000}) {
    Program program(fetch(server), setting());
    ASSERT_TRUE(program.wait_until([&] { return has_part(bytes); })) << program.err_so_far();
    EXPECT_EQ(program.finish(SIGKILL).signal, SIGKILL);
    EXPECT_FALSE(fs::exists(file()));
    EXPECT_EQ(server.requests().back().from_byte(), there);
    there = fs::file_size(part());
  }
  EXPECT_THAT(run({"data", "info", "listops", "--data", text("data")}).err,
              AllOf(HasSubstr("KiB of about 7.66 GiB of"), HasSubstr("lra data fetch listops")));
  const Outcome outcome = run(fetch(server));
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_TRUE(read_bytes(file()) == content_);
  EXPECT_EQ(server.requests().back().from_byte(), there);
  EXPECT_EQ(server.requests().back().header("if-range"), kTag);
}

TEST_F(FetchTest, AnInterruptedDownloadSaysHowToGoOn) {
  for (const auto& [number, exit_code] : {std::pair{SIGINT, 130}, {SIGTERM, 143}}) {
    const HttpServer server(slow());
    Program program(fetch(server), setting());
    ASSERT_TRUE(program.wait_until([&] { return has_part(1); })) << program.err_so_far();
    const Outcome outcome = program.finish(number);
    EXPECT_EQ(outcome.exit_code, exit_code);
    EXPECT_EQ(outcome.out, "");
    EXPECT_THAT(outcome.err, AllOf(HasSubstr("interrupted; "), HasSubstr("to go on: lra data fetch listops --data ")));
    EXPECT_TRUE(has_part(1));
    EXPECT_FALSE(fs::exists(file()));
    fs::remove_all(path("data"));
  }
}

TEST_F(FetchTest, TwoProcessesDoNotWriteOneFile) {
  const HttpServer server(slow());
  Program first(fetch(server), setting());
  ASSERT_TRUE(first.wait_until([&] { return has_part(1); })) << first.err_so_far();
  refuses(fetch(server), 5, {"the download `lra_release.gz`", "another process"});
  EXPECT_EQ(first.finish().exit_code, 0);
  EXPECT_TRUE(read_bytes(file()) == content_);
  EXPECT_EQ(server.count(), 1U);
}

TEST_F(FetchTest, AWrongHashIsRefused) {
  const HttpServer server(sound());
  const Outcome outcome = run(fetch(server, {"--sha256", std::string(64, 'A')}));
  EXPECT_EQ(outcome.exit_code, 3);
  EXPECT_EQ(outcome.out, "");
  EXPECT_THAT(outcome.err,
              AllOf(HasSubstr(io::sha256_hex(content_)), HasSubstr(std::string(64, 'a')), HasSubstr("hint: ")));
  EXPECT_FALSE(fs::exists(file()));
  EXPECT_FALSE(fs::exists(record()));
}

TEST_F(FetchTest, ARecordedHashIsComparedFromThenOn) {
  const HttpServer server(sound());
  ASSERT_EQ(run(fetch(server)).exit_code, 0);
  flip_byte(file(), 1000);
  refuses(fetch(server), 3, {"recorded in", io::sha256_hex(content_), "rm "});
  fs::remove(file());
  const HttpServer other([](const Request& request) { return file_reply(request, archive_content(2), kTag); });
  const Outcome outcome = run(fetch(other));
  EXPECT_EQ(outcome.exit_code, 3);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("expected " + io::sha256_hex(content_)), HasSubstr(record().string())));
  EXPECT_FALSE(fs::exists(file()));
  fs::remove(record());
  EXPECT_EQ(run(fetch(other)).exit_code, 0);
}

TEST_F(FetchTest, APageInPlaceOfTheArchiveIsNotTakenForIt) {
  for (const std::string& page : {std::string("<html>please log in</html>"), std::string()}) {
    const HttpServer portal([&](const Request& request) { return file_reply(request, page, kTag); });
    refuses(fetch(portal), 3, {"no archive, but begin with `" + page.substr(0, 6), portal.url("/lra_release.gz")});
    EXPECT_FALSE(fs::exists(file()));
    EXPECT_FALSE(fs::exists(part()));
    EXPECT_FALSE(fs::exists(record())) << "the archive would be refused for another hash";
  }
  const HttpServer server(sound());
  EXPECT_EQ(run(fetch(server)).exit_code, 0);
}

TEST_F(FetchTest, ImportTakesWhatWasFetched) {
  refuses({"data", "import", "listops", "--data", text("data")}, 2,
          {"--from is not given", "is not fetched", "lra data fetch listops --data " + text("data")});
  const std::string row = "Source\tTarget\r\n( ( ( [MAX 2 ) 9 ) ] )\t9\r\n";
  write_archive(path("release.gz"), {{"lra_release/lra_release/listops-1000/basic_train.tsv", row},
                                     {"lra_release/lra_release/listops-1000/basic_val.tsv", row},
                                     {"lra_release/lra_release/listops-1000/basic_test.tsv", row}});
  const std::string archive = read_bytes(path("release.gz"));
  const HttpServer server([&](const Request& request) { return file_reply(request, archive, kTag); });
  ASSERT_EQ(run(fetch(server)).exit_code, 0);
  const Outcome info = run({"data", "info", "listops", "--data", text("data")});
  EXPECT_EQ(info.exit_code, 3);
  EXPECT_THAT(info.err, AllOf(HasSubstr("is fetched ("), HasSubstr("hint: lra data import listops --from ")));
  const Outcome import = run({"data", "import", "listops", "--data", text("data")});
  EXPECT_EQ(import.exit_code, 0) << import.err;
  EXPECT_THAT(import.err, HasSubstr("import listops: from " + file().string()));
  EXPECT_THAT(import.out, HasSubstr("1 train, 1 validation, 1 test examples"));
}

TEST_F(FetchTest, AProxyIsAsked) {
  const HttpServer proxy(sound());
  ::setenv("http_proxy", proxy.url("").c_str(), 1);
  const Outcome outcome = run({"data", "fetch", "listops", "--data", text("data"), "--url", "http://lra.invalid/file"});
  forget_proxies();
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(proxy.requests().at(0).target, "http://lra.invalid/file");
}

TEST_F(FetchTest, TheErrorNamesTheAddressAndWhatToType) {
  const HttpServer server([](const Request&) { return Reply{.status = 404}; });
  refuses(fetch(server), 3, {server.url("/lra_release.gz"), "404", "--url URL", "lra data generate listops"});
  EXPECT_FALSE(fs::exists(part()));
}

TEST_F(FetchTest, MistypedOptionsAreRefusedBeforeAnything) {
  const Arguments base = {"data", "fetch", "listops", "--data", text("data")};
  refuses(base + Arguments{"--url", "ftp://example.org/x"}, 2, {"ftp://example.org/x", "https://"});
  refuses(base + Arguments{"--url", "/tmp/lra_release.gz"}, 2, {"/tmp/lra_release.gz", "lra data import --from"});
  refuses(base + Arguments{"--sha256", "abc"}, 2, {"--sha256 abc", "64 hexadecimal digits"});
  refuses(base + Arguments{"--max-attempts", "0"}, 2, {"--max-attempts 0"});
  refuses(base + Arguments{"--timeout-s", "nan"}, 2, {"--timeout-s nan"});
  refuses({"data", "fetch", "listop", "--data", text("data")}, 2, {"listop"});
  EXPECT_FALSE(fs::exists(path("data")));
}

}  // namespace
}  // namespace lra::testing
