// The official files that the task folders state, and their parser.
#include "tasks/published_files.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "engine/errors.h"
#include "tasks/registry.h"
#include "tests/temporary_directory.h"

namespace lra::testing {
namespace {

using tasks::parse_sources;
using tasks::published_files;
using tasks::PublishedFile;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

nlohmann::json sound() {
  return {{"tasks", {"toy", "toys_*"}},
          {"files",
           {{{"name", "toy.tar.gz"},
             {"urls", {"https://example.org/toy.tar.gz"}},
             {"size_bytes", 123},
             {"about_bytes", nullptr},
             {"sha256", std::string(64, 'a')},
             {"licence", "CC0"},
             {"citation", "A paper"},
             {"note", "A note"},
             {"evidence", "A page"}}}}};
}

TEST(PublishedFilesTest, AreReadAsTheyStand) {
  const tasks::SourcesFile sources = parse_sources(sound().dump(), "toy");
  EXPECT_THAT(sources.tasks, ::testing::ElementsAre("toy", "toys_*"));
  ASSERT_THAT(sources.files, SizeIs(1));
  const PublishedFile& file = sources.files[0].file;
  EXPECT_EQ(file.name, "toy.tar.gz");
  EXPECT_EQ(file.size_bytes, 123U);
  EXPECT_EQ(file.about_bytes, std::nullopt);
  EXPECT_EQ(file.likely_bytes(), 123U);
  EXPECT_EQ(file.sha256, std::string(64, 'a'));
}

TEST(PublishedFilesTest, MistakesAreNamed) {
  const auto refused = [](const char* pointer, const nlohmann::json& value, const char* named) {
    nlohmann::json json = sound();
    json[nlohmann::json::json_pointer(pointer)] = value;
    const auto error = thrown_by<DataError>([&] { parse_sources(json.dump(), "toy/sources.json"); });
    EXPECT_THAT(error.what(), HasSubstr("toy/sources.json")) << pointer;
    EXPECT_THAT(error.what(), HasSubstr(named)) << pointer;
  };
  refused("/tasks", "toy", "[tasks]");
  refused("/files", nlohmann::json::array(), "[files]");
  refused("/surplus", 1, "[surplus]");
  refused("/files/0/surplus", 1, "[surplus]");
  refused("/files/0/name", "../toy", "../toy");
  refused("/files/0/name", ".toy", ".toy");
  refused("/files/0/urls", {"ftp://example.org/toy"}, "ftp://");
  refused("/files/0/size_bytes", -1, "[size_bytes]");
  refused("/files/0/size_bytes", 1.5, "[size_bytes]");
  refused("/files/0/sha256", "abc", "abc");
  refused("/files/0/licence", "", "[licence]");
  refused("/files/0/described_in", "listops", "[about_bytes]");  // described here or there
  EXPECT_THROW(parse_sources("{", "toy"), DataError);
  EXPECT_THROW(parse_sources("[]", "toy"), DataError);
}

TEST(PublishedFilesTest, OneDescriptionServesSeveralFolders) {
  const std::vector<PublishedFile> files = published_files("listops");
  ASSERT_THAT(files, SizeIs(1));
  EXPECT_EQ(files[0].name, "lra_release.gz");
  for (const char* task : {"retrieval", "pathfinder32_hard", "pathfinder128_hard"}) {
    const std::vector<PublishedFile> shared = published_files(task);
    ASSERT_THAT(shared, SizeIs(1)) << task;
    EXPECT_EQ(shared[0].urls, files[0].urls);
  }
  EXPECT_THAT(published_files("custom_text"), IsEmpty());
}

TEST(PublishedFilesTest, EveryTaskThatIsPublishedIsFetched) {
  for (const tasks::Task* task : tasks::all_tasks()) {
    const std::string& name = task->facts().name;
    if (name.starts_with("custom_")) continue;
    EXPECT_FALSE(published_files(name).empty()) << name;
  }
}

TEST(PublishedFilesTest, TextAndImageCanBeVerified) {
  for (const char* task : {"text", "image"}) {
    const std::vector<PublishedFile> files = published_files(task);
    ASSERT_THAT(files, SizeIs(1)) << task;
    EXPECT_TRUE(files[0].sha256.has_value());
    EXPECT_TRUE(files[0].size_bytes.has_value());
    EXPECT_TRUE(files[0].urls[0].starts_with("https://"));
  }
}

}  // namespace
}  // namespace lra::testing
