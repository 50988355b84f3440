#include "tasks/source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "engine/errors.h"
#include "tests/tasks/archive_builder.h"
#include "tests/temporary_directory.h"

namespace lra::tasks {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using testing::ArchiveEntry;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::read_bytes;
using testing::TemporaryDirectory;
using testing::thrown_by;
using testing::write_archive;
using testing::write_archive_of;
using testing::write_bytes;

/// Trees of the files `d/<name>.txt`.
TreePattern text_pattern(std::vector<std::string> required = {}) {
  return {.what = "the texts",
          .root_bytes = [](std::string_view path) -> std::optional<size_t> {
            if (!path.ends_with(".txt")) return std::nullopt;
            const size_t folder = path.rfind("d/");
            if (folder == std::string_view::npos || (folder > 0 && path[folder - 1] != '/')) return std::nullopt;
            return folder;
          },
          .required = std::move(required)};
}

/// What an import would see: name below the root -> content; and the notes.
struct Seen {
  std::map<std::string, std::string> files;
  std::vector<std::string> order;
  std::vector<std::string> notes;
  std::string root;
};

Seen seen_in(const fs::path& from, const TreePattern& pattern = text_pattern()) {
  Seen seen;
  uint64_t last_total = 0;
  uint64_t last_done = 0;
  const Source source(
      from, [&](const std::string& note) { seen.notes.push_back(note); },
      [&](uint64_t done, uint64_t total) {
        EXPECT_LE(done, total);
        EXPECT_TRUE(last_total == 0 || total == last_total);
        EXPECT_GE(done, last_done);
        last_total = total;
        last_done = done;
      });
  const SourceTree tree = source.find(pattern);
  source.read(tree, [&](size_t file, ByteStream& bytes) {
    seen.order.push_back(tree.files[file]);
    seen.files[tree.files[file]] = read_all(bytes, source.shown(tree, file), 1 << 20);
  });
  EXPECT_EQ(last_done, last_total);
  seen.root = tree.root;
  return seen;
}

void write_tree(const fs::path& root, const std::map<std::string, std::string>& files) {
  for (const auto& [name, content] : files) {
    fs::create_directories((root / name).parent_path());
    write_bytes(root / name, content);
  }
}

const std::map<std::string, std::string>& three_files() {
  static const std::map<std::string, std::string> files{
      {"d/b.txt", "two\n"}, {"d/a.txt", std::string(100'000, 'x')}, {"d/sub/c.txt", ""}};
  return files;
}

TEST(SourceTest, ATreeAndEveryKindOfArchiveOfItGiveTheSameFiles) {
  const TemporaryDirectory directory;
  write_tree(directory / "deep/er", three_files());
  write_bytes(directory / "deep/er/other.bin", "no");
  const Seen unpacked = seen_in(directory / "deep");
  EXPECT_EQ(unpacked.files, three_files());
  EXPECT_THAT(unpacked.order, ElementsAre("d/a.txt", "d/b.txt", "d/sub/c.txt"));
  EXPECT_EQ(unpacked.root, "er/");
  for (const char* name : {"x.tar", "x.tar.gz", "x.tgz", "release.gz", "x.tar.xz", "x.zip"}) {
    write_archive_of(directory / name, directory / "deep");
    const Seen streamed = seen_in(directory / name);
    EXPECT_EQ(streamed.files, unpacked.files) << name;
    EXPECT_EQ(streamed.root, unpacked.root) << name;
    EXPECT_THAT(streamed.order, ElementsAre("d/sub/c.txt", "d/b.txt", "d/a.txt")) << name << ": in its own order";
  }
}

TEST(SourceTest, AnArchiveIsKnownByItsBytesAndNotByItsName) {
  const TemporaryDirectory directory;
  write_archive(directory / "x.tar.gz", {{.name = "./d/a.txt", .content = "1"}});
  fs::rename(directory / "x.tar.gz", directory / "x.bin");
  EXPECT_THAT(seen_in(directory / "x.bin").order, ElementsAre("d/a.txt"));
}

TEST(SourceTest, ASingleFileIsATreeOfOne) {
  const TemporaryDirectory directory;
  write_bytes(directory / "rows.tsv", "1\ta\n");
  EXPECT_EQ(seen_in(directory / "rows.tsv", files_pattern("rows", {"rows.tsv"})).files.at("rows.tsv"), "1\ta\n");
  EXPECT_THROW(seen_in(directory / "rows.tsv"), DataError);
}

TEST(SourceTest, TheInnerCopyOfTheReleaseWinsAndThatIsSaid) {
  const TemporaryDirectory directory;
  write_tree(directory / "lra_release", {{"d/a.txt", "outer"}});
  EXPECT_EQ(seen_in(directory.path()).files.at("d/a.txt"), "outer");
  write_tree(directory / "lra_release/lra_release", {{"d/a.txt", "inner"}});
  write_archive_of(directory / "release.gz", directory / "lra_release");
  for (const char* from : {"", "lra_release", "release.gz"}) {
    const Seen seen = seen_in(directory / from);
    EXPECT_EQ(seen.files.at("d/a.txt"), "inner") << from;
    EXPECT_THAT(seen.notes, ElementsAre(HasSubstr("two copies"))) << from;
  }
  EXPECT_THAT(seen_in(directory / "lra_release/lra_release").notes, IsEmpty());
}

TEST(SourceTest, OtherSecondTreesAreAmbiguousUnlessIncomplete) {
  const TemporaryDirectory directory;
  write_tree(directory / "one", {{"d/a.txt", "1"}, {"d/b.txt", "1"}});
  write_tree(directory / "two", {{"d/a.txt", "2"}});
  EXPECT_THAT(thrown_by<DataError>([&] { seen_in(directory.path()); }).what(),
              AllOf(HasSubstr("more than once"), HasSubstr("`one/`"), HasSubstr("`two/`")));
  EXPECT_EQ(seen_in(directory.path(), text_pattern({"d/a.txt", "d/b.txt"})).root, "one/");
  EXPECT_THAT(thrown_by<DataError>([&] {
                seen_in(directory / "two", text_pattern({"d/b.txt", "d/x.txt"}));
              }).what(),
              HasSubstr("lacks d/b.txt d/x.txt"));
}

TEST(SourceTest, WhatIsNotThereIsSaid) {
  const TemporaryDirectory directory;
  EXPECT_THAT(thrown_by<DataError>([&] { seen_in(directory / "no"); }).what(), HasSubstr("does not exist"));
  EXPECT_THAT(thrown_by<DataError>([&] { seen_in(directory.path()); }).what(), HasSubstr("does not hold the texts"));
  EXPECT_THAT(thrown_by<DataError>([&] { seen_in("/dev/null"); }).what(), HasSubstr("neither a directory nor"));
}

TEST(SourceTest, LinksAndNamesThatLeadOutArePassedOverAndCounted) {
  const TemporaryDirectory directory;
  const std::vector<ArchiveEntry> entries{
      {.name = "d/a.txt", .content = "good"},
      {.name = "../d/b.txt", .content = "bad"},
      {.name = "d/../../d/c.txt", .content = "bad"},
      {.name = "/d/e.txt", .content = "bad"},
      {.name = "d/" + std::string(5000, 'n') + ".txt", .content = "bad"},
      {.name = "d/link.txt", .type = AE_IFLNK, .link = "/etc/passwd"},
      {.name = "d/hard.txt", .hard_link = "d/a.txt"},
      {.name = "d/pipe.txt", .type = AE_IFIFO},
      {.name = "other", .type = AE_IFLNK, .link = "/etc/passwd"},
  };
  for (const char* name : {"x.tar", "x.tar.gz"}) {
    write_archive(directory / name, entries);
    const Seen seen = seen_in(directory / name);
    EXPECT_THAT(seen.order, ElementsAre("d/a.txt")) << name;
    EXPECT_THAT(seen.notes, ElementsAre(HasSubstr("passed over 3 links and special files"),
                                        HasSubstr("passed over 4 names that are absolute")))
        << name;
  }
}

TEST(SourceTest, LinksInADirectoryArePassedOverAndCounted) {
  const TemporaryDirectory directory;
  write_tree(directory / "t", {{"d/a.txt", "1"}});
  fs::create_symlink("/etc/passwd", directory / "t/d/b.txt");
  fs::create_directory_symlink("/", directory / "t/d/c.txt");
  const Seen seen = seen_in(directory / "t");
  EXPECT_THAT(seen.order, ElementsAre("d/a.txt"));
  EXPECT_THAT(seen.notes, ElementsAre(HasSubstr("passed over 2 links")));
  fs::create_directory_symlink(directory / "t", directory / "link");
  EXPECT_THAT(seen_in(directory / "link").order, ElementsAre("d/a.txt")) << "--from itself may be a link";
}

TEST(SourceTest, AMemberThatIsThereTwiceIsRefused) {
  const TemporaryDirectory directory;
  write_archive(directory / "x.tar", {{.name = "d/a.txt", .content = "1"}, {.name = "d/a.txt", .content = "2"}});
  EXPECT_THAT(thrown_by<DataError>([&] { seen_in(directory / "x.tar"); }).what(), HasSubstr("`d/a.txt` twice"));
}

TEST(SourceTest, EveryTruncationOfAnArchiveIsRefused) {
  const TemporaryDirectory directory;
  std::string noise(40'000, '\0');
  for (size_t i = 0; i < noise.size(); ++i) noise[i] = static_cast<char>(i * i * 2654435761U >> 13);
  for (const char* name : {"x.tar.gz", "x.tar.xz", "x.zip"}) {
    write_archive(directory / name, {{.name = "d/a.txt", .content = noise}, {.name = "d/b.txt", .content = "end"}});
    const std::string whole = read_bytes(directory / name);
    for (size_t kept = 600; kept < whole.size(); kept += whole.size() / 40) {
      write_bytes(directory / "cut", whole.substr(0, kept));
      const auto error = thrown_by<DataError>([&] { seen_in(directory / "cut"); });
      EXPECT_THAT(error.what(), HasSubstr("cut`: ")) << name << " " << kept;
      EXPECT_FALSE(error.hint().empty());
    }
  }
}

TEST(SourceTest, AChangedByteOfACompressedArchiveIsFound) {
  const TemporaryDirectory directory;
  std::string noise(40'000, '\0');
  for (size_t i = 0; i < noise.size(); ++i) noise[i] = static_cast<char>(i * i * 2654435761U >> 13);
  for (const char* name : {"x.tar.gz", "x.tar.xz", "x.zip"}) {
    write_archive(directory / name, {{.name = "d/a.txt", .content = noise}});
    const auto size = static_cast<int64_t>(fs::file_size(directory / name));
    for (int64_t at = 700; at < size - 1000; at += size / 20) {
      testing::flip_byte(directory / name, at);
      EXPECT_THROW(seen_in(directory / name), DataError) << name << " " << at;
      testing::flip_byte(directory / name, at);
    }
    EXPECT_EQ(seen_in(directory / name).files.at("d/a.txt"), noise) << name;
  }
}

TEST(SourceTest, ABombIsRefused) {
  const TemporaryDirectory directory;
  const std::string zeros(size_t{80} << 20, '\0');
  for (const char* name : {"x.tar.gz", "x.zip"}) {
    write_archive(directory / name, {{.name = "d/a.txt", .content = zeros}});
    const Source source(directory / name);
    EXPECT_THAT(thrown_by<DataError>([&] {
                  const SourceTree tree = source.find(text_pattern());
                  source.read(tree, [](size_t, ByteStream& bytes) {
                    std::vector<std::byte> piece(1 << 16);
                    while (bytes.read(piece) > 0) {
                    }
                  });
                }).what(),
                HasSubstr("as no data set does"))
        << name;
  }
}

TEST(SourceTest, AFileLargerThanAskedForIsRefused) {
  const TemporaryDirectory directory;
  write_tree(directory.path(), three_files());
  const Source source(directory.path());
  const SourceTree tree = source.find(text_pattern());
  EXPECT_THAT(thrown_by<DataError>([&] {
                source.read(tree, [&](size_t i, ByteStream& b) { read_all(b, source.shown(tree, i), 99'999); });
              }).what(),
              AllOf(HasSubstr("d/a.txt"), HasSubstr("larger than 99999 bytes")));
}

TEST(SourceTest, ProgressMayStopTheWork) {
  const TemporaryDirectory directory;
  write_tree(directory / "t", three_files());
  for (const char* name : {"x.tar.gz", "x.zip"}) write_archive_of(directory / name, directory / "t");
  for (const char* from : {"t", "x.tar.gz", "x.zip"}) {
    const Source source(directory / from, {}, [](uint64_t, uint64_t) { throw std::runtime_error("stop"); });
    EXPECT_THROW(source.read(source.find(text_pattern()), [](size_t, ByteStream&) {}), std::runtime_error) << from;
  }
}

}  // namespace
}  // namespace lra::tasks
