// Imports of every task that are stopped, killed and hindered make the same dataset.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <csignal>
#include <random>

#include "engine/errors.h"
#include "tasks/dataset.h"
#include "tasks/export.h"
#include "tasks/image/cifar.h"
#include "tasks/import_stage.h"
#include "tasks/png.h"
#include "tests/tasks/archive_builder.h"
#include "tests/tasks/importing.h"
#include "tests/tasks/stopping.h"
#include "tests/temporary_directory.h"

namespace lra::tasks {
namespace {

namespace fs = std::filesystem;
using ::testing::Contains;
using ::testing::HasSubstr;
using testing::TemporaryDirectory;
using testing::write_archive_of;
using testing::write_bytes;

/// Official trees of a few examples, by task.
class StoppedImportTest : public ::testing::TestWithParam<const char*> {
 protected:
  void write_tree(const std::string& task) {
    if (task == "text") write_reviews();
    if (task == "image") write_batches();
    if (task == "retrieval") write_pairs();
    if (task == "listops") write_exported(task, {"train", "val", "test"});
    if (task == "pathfinder32_easy") write_pathfinder(task);
    if (task == "custom_text") write_lines();
    if (task == "custom_images") write_images();
  }

  fs::path tree() const { return directory_ / "tree"; }
  fs::path data() const { return directory_ / "data"; }

  TemporaryDirectory directory_;

 private:
  void put(const std::string& name, std::string_view bytes) const {
    fs::create_directories((tree() / name).parent_path());
    write_bytes(tree() / name, bytes);
  }

  void write_reviews() const {
    for (const char* folder : {"train/neg", "train/pos", "test/neg", "test/pos"}) {
      for (int i = 0; i < 4; ++i) {
        put(fmt::format("{}/{}_{}.txt", folder, i, 7), fmt::format("{} {}\xff", folder, std::string(i * 500, 'x')));
      }
    }
    put("train/pos/9_9.txt", "");
  }

  void write_batches() {
    for (int batch = 1; batch <= 6; ++batch) {
      std::string records;
      for (int i = 0; i < 5; ++i) {
        records += static_cast<char>(i);
        for (int byte = 1; byte < image::kRecordBytes; ++byte) records += static_cast<char>(random_());
      }
      put(batch == 6 ? "test_batch.bin" : fmt::format("data_batch_{}.bin", batch), records);
    }
  }

  void write_pairs() const {
    for (const char* split : {"train", "eval", "test"}) {
      std::string rows;
      for (int i = 0; i < 7; ++i) {
        rows += fmt::format("{}.0\tP{}\tQ{}\t{} first\t{}\n", i % 2, i, i, split, std::string(i * 100, 'y'));
      }
      put(fmt::format("new_aan_pairs.{}.tsv", split), rows);
    }
  }

  void write_exported(const std::string& task, const std::array<const char*, 3>& names) const {
    fs::create_directories(tree());
    task_named(task).generate({.seed = 1, .examples = {.train = 9, .validation = 4, .test = 4}}, directory_ / "made",
                              {});
    const Dataset made = Dataset::open(directory_ / "made", task);
    for (const SplitName split : kSplitNames) {
      export_tsv(task_named(task), made, split, tree() / fmt::format("basic_{}.tsv", names[static_cast<size_t>(split)]),
                 {});
    }
  }

  void write_pathfinder(const std::string& task) const {
    task_named(task).generate({.seed = 1, .examples = {.train = 30, .validation = 0, .test = 0}}, directory_ / "made",
                              {});
    const Dataset made = Dataset::open(directory_ / "made", task);
    fs::create_directories(tree() / "pathfinder32");
    task_named(task).export_images(made, SplitName::kTrain, tree() / "pathfinder32/curv_baseline", {});
    put("pathfinder32/curv_baseline/imgs/0/sample_3.png", "");
    put("pathfinder32/curv_baseline/imgs/7/unlisted.png", "no image");
  }

  void write_lines() const {
    for (const char* split : {"train", "test"}) {
      std::string lines;
      for (int i = 0; i < 12; ++i) lines += fmt::format("class {}\t{} text\t{}\n", i % 3, split, i);
      put(fmt::format("{}.tsv", split), lines);
    }
  }

  void write_images() {
    for (int i = 0; i < 24; ++i) {
      std::vector<uint8_t> pixels(6);
      for (uint8_t& pixel : pixels) pixel = static_cast<uint8_t>(random_());
      const std::vector<std::byte> png = encode_gray_png(pixels, 2, 3);
      put(fmt::format("pets/{}/{}.png", i % 2 == 0 ? "cat" : "dog", i),
          {reinterpret_cast<const char*>(png.data()), png.size()});
    }
  }

  std::mt19937 random_{3};
};

TEST_P(StoppedImportTest, MakesTheSameDatasetFromEveryKindOfSource) {
  const std::string task = GetParam();
  write_tree(task);
  const Manifest expected = import_task(task, tree(), directory_ / "whole").dataset.manifest();
  for (const char* name : {"", "x.tar", "x.tar.gz", "x.tar.xz", "x.zip"}) {
    const fs::path from = *name == '\0' ? tree() : directory_ / name;
    if (*name != '\0') write_archive_of(from, tree());
    const ImportOptions options{.from = from, .force = true, .checkpoint_interval_s = 0};
    int attempts = 1;
    int went_on = 0;
    for (Attempt made; !made.is_done; ++attempts) {
      ASSERT_LT(attempts, 200) << from << ": it does not come to an end";
      made = attempt(task, options, data(), 1 + attempts % 5);
      for (const std::string& note : made.notes) went_on += note.starts_with("going on where") ? 1 : 0;
      ASSERT_TRUE(made.is_done || !fs::exists(data() / task)) << from << ": it looks finished";
    }
    EXPECT_GE(went_on, 1) << from;
    const Manifest manifest = Dataset::open(data(), task).manifest();
    EXPECT_EQ(manifest.dataset_sha256, expected.dataset_sha256) << from;
    EXPECT_EQ(manifest.source.file_sha256, expected.source.file_sha256) << from;
    EXPECT_EQ(manifest.source.counts, expected.source.counts) << from;
    EXPECT_THAT(leftovers(data(), task), ::testing::IsEmpty()) << from;
    fs::remove_all(data());
  }
}

INSTANTIATE_TEST_SUITE_P(Tasks, StoppedImportTest,
                         ::testing::Values("listops", "text", "retrieval", "image", "pathfinder32_easy", "custom_text",
                                           "custom_images"));

/// Rows of Retrieval that do not compress well: `count` of 100,000 bytes, of which 8,000 are kept.
std::string long_rows(int count) {
  std::mt19937 random(8);
  std::string rows;
  for (int i = 0; i < count; ++i) {
    rows += fmt::format("{}.0\t{}\t{}\t", i % 2, i, i);
    for (int letter = 0; letter < 100'000; ++letter) {
      rows += letter == 50'000 ? '\t' : static_cast<char>('a' + random() % 26);
    }
    rows += '\n';
  }
  return rows;
}

class LongImportTest : public ::testing::Test {
 protected:
  void SetUp() override {
    fs::create_directories(directory_ / "tree");
    write_bytes(directory_ / "tree/new_aan_pairs.train.tsv", long_rows(120));  // 12 MB
    write_bytes(directory_ / "tree/new_aan_pairs.eval.tsv", long_rows(3));
    write_bytes(directory_ / "tree/new_aan_pairs.test.tsv", long_rows(5));
    write_archive_of(directory_ / "x.tar.gz", directory_ / "tree");
    expected_ = import_task("retrieval", directory_ / "tree", directory_ / "whole").dataset.manifest();
  }

  void expect_whole() const {
    const Manifest manifest = Dataset::open(data(), "retrieval").manifest();
    EXPECT_EQ(manifest.dataset_sha256, expected_.dataset_sha256);
    EXPECT_EQ(manifest.source.file_sha256, expected_.source.file_sha256);
    EXPECT_THAT(leftovers(data(), "retrieval"), ::testing::IsEmpty());
  }

  fs::path data() const { return directory_ / "data"; }

  TemporaryDirectory directory_;
  Manifest expected_;
};

TEST_F(LongImportTest, EntersAFileInTheMiddle) {
  for (const char* name : {"tree", "x.tar.gz"}) {
    const ImportOptions options{.from = directory_ / name, .force = true, .checkpoint_interval_s = 0};
    Attempt last;
    int stops = 0;
    for (; !last.is_done; ++stops) {
      ASSERT_LT(stops, 100);
      const Attempt made = attempt("retrieval", options, data(), 12);
      if (stops > 0) {  // the points at which a gzip file can be entered are 4 MiB apart, of twice the archive
        EXPECT_GT(static_cast<double>(made.first_done),
                  static_cast<double>(last.last_done) - 0.25 * static_cast<double>(last.total))
            << name << ", stop " << stops;
      }
      last = made;
    }
    EXPECT_GE(stops, 3) << name;
    expect_whole();
    fs::remove_all(data());
  }
}

TEST_F(LongImportTest, GoesOnAfterAKill) {
  for (const char* name : {"tree", "x.tar.gz"}) {
    const ImportOptions options{.from = directory_ / name, .force = true, .checkpoint_interval_s = 0};
    int kills = 0;
    for (bool is_done = false; !is_done; ++kills) {
      ASSERT_LT(kills, 100);
      const pid_t child = ::fork();
      ASSERT_GE(child, 0);
      if (child == 0) {
        int reports = 0;
        task_named("retrieval").import(options, data(), [&](uint64_t, uint64_t) {
          if (++reports == 15) ::raise(SIGKILL);
        });
        ::_exit(0);
      }
      int status = 0;
      ASSERT_EQ(::waitpid(child, &status, 0), child);
      is_done = WIFEXITED(status);
      if (is_done) {
        EXPECT_EQ(WEXITSTATUS(status), 0);
      } else {
        EXPECT_FALSE(fs::exists(data() / "retrieval")) << "it looks finished";
      }
    }
    EXPECT_GE(kills, 2) << name;
    expect_whole();
    fs::remove_all(data());
  }
}

TEST_F(LongImportTest, WhatIsReadWaitsForAFullDisk) {
  const ImportOptions options{.from = directory_ / "tree", .checkpoint_interval_s = 0};
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {  // the spool takes 1 MB, the tokens 2: there is room for the first only
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{.rlim_cur = 3 << 19, .rlim_max = 3 << 19};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    try {
      task_named("retrieval").import(options, data(), {});
    } catch (const ResourceError&) {
      ::_exit(17);
    }
    ::_exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 17);
  EXPECT_EQ(stopped_import(data(), "retrieval"), data() / ".retrieval.import");
  const Attempt made = attempt("retrieval", options, data(), 0);  // no report comes: nothing is read
  EXPECT_TRUE(made.is_done);
  EXPECT_THAT(made.notes, Contains(HasSubstr("3 of 3 files were read")));
  expect_whole();
  EXPECT_FALSE(stopped_import(data(), "retrieval").has_value());
}

}  // namespace
}  // namespace lra::tasks
