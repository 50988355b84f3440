// Imports that are stopped, killed and hindered go on where they were, and make the same dataset.
#include "tasks/import_stage.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <csignal>
#include <random>
#include <set>

#include "engine/errors.h"
#include "tasks/dataset.h"
#include "tasks/export.h"
#include "tasks/image/cifar.h"
#include "tasks/png.h"
#include "tasks/registry.h"
#include "tests/tasks/archive_builder.h"
#include "tests/temporary_directory.h"

namespace lra::tasks {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using testing::TemporaryDirectory;
using testing::thrown_by;
using testing::write_archive_of;
using testing::write_bytes;

/// Thrown out of the work, as an interrupt is.
struct Stopped {};

struct Attempt {
  bool is_done = false;
  uint64_t first_done = 0;  // what was reported, of `total`
  uint64_t last_done = 0;
  uint64_t total = 0;
  std::vector<std::string> notes;
};

/// Imports until `reports` reports of progress have come; with `checkpoint_interval_s` 0 all that was read is kept.
Attempt attempt(const std::string& task, const ImportOptions& options, const fs::path& data_dir, int reports) {
  Attempt made;
  ImportOptions noting = options;
  noting.note = [&](const std::string& note) { made.notes.push_back(note); };
  int left = reports;
  const auto progress = [&](uint64_t done, uint64_t total) {
    if (total > 0 && made.total == 0) made.first_done = done;
    made.last_done = done;
    made.total = total;
    if (left-- == 0) throw Stopped();
  };
  try {
    task_named(task).import(noting, data_dir, progress);
    made.is_done = true;
  } catch (const Stopped&) {
  }
  return made;
}

Manifest imported_at_once(const std::string& task, const fs::path& from, const fs::path& data_dir,
                          const ParameterTexts& parameters = {}) {
  task_named(task).import({.from = from, .parameters = parameters, .force = true}, data_dir, {});
  return Dataset::open(data_dir, task).manifest();
}

/// Files of the data directory but for the dataset and its lock.
std::vector<std::string> leftovers(const fs::path& data_dir, const std::string& task) {
  std::vector<std::string> names;
  for (const fs::directory_entry& entry : fs::directory_iterator(data_dir)) {
    const std::string name = entry.path().filename();
    if (name != task && name != "." + task + ".lock") names.push_back(name);
  }
  return names;
}

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
  const Manifest expected = imported_at_once(task, tree(), directory_ / "whole");
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
    expected_ = imported_at_once("retrieval", directory_ / "tree", directory_ / "whole");
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

class ImportStageTest : public ::testing::Test {
 protected:
  void SetUp() override {
    fs::create_directories(directory_ / "tree");
    for (const char* name : {"train", "test"}) write_lines(name, 40);
  }

  void write_lines(const std::string& name, int count) const {
    std::string lines;
    for (int i = 0; i < count; ++i) lines += fmt::format("{}\ttext {}\n", i % 3, i);
    write_bytes(directory_ / "tree" / (name + ".tsv"), lines);
  }

  ImportOptions options() const { return {.from = directory_ / "tree", .force = true, .checkpoint_interval_s = 0}; }

  /// Leaves an import of custom_text that has read a file.
  void stop() const {
    ASSERT_FALSE(attempt("custom_text", options(), data(), 2).is_done);
    ASSERT_TRUE(stopped_import(data(), "custom_text").has_value());
  }

  fs::path data() const { return directory_ / "data"; }

  TemporaryDirectory directory_;
};

TEST_F(ImportStageTest, IsToldWhereItIsKeptAndThatItGoesOn) {
  EXPECT_THAT(attempt("custom_text", options(), data(), 2).notes,
              Contains(AllOf(HasSubstr((data() / ".custom_text.import").string()), HasSubstr("the same command"))));
  EXPECT_THAT(attempt("custom_text", options(), data(), 100).notes, Contains(HasSubstr("going on where")));
}

TEST_F(ImportStageTest, BeginsAgainWhenFilesHaveChanged) {
  stop();
  write_lines("test", 41);
  const Attempt made = attempt("custom_text", options(), data(), 100);
  EXPECT_TRUE(made.is_done);
  EXPECT_THAT(made.notes, Contains(HasSubstr("files have changed")));
  EXPECT_EQ(Dataset::open(data(), "custom_text").test().size(), 41);
}

TEST_F(ImportStageTest, BeginsAgainForOtherSettingsAndOtherData) {
  for (const bool has_other_data : {false, true}) {
    stop();
    ImportOptions other = options();
    if (has_other_data) {
      fs::copy(directory_ / "tree", directory_ / "copy");
      other.from = directory_ / "copy";
    } else {
      other.parameters = {{"task.max_length", "3"}};
    }
    const Attempt made = attempt("custom_text", other, data(), 100);
    EXPECT_TRUE(made.is_done);
    EXPECT_THAT(made.notes, Contains(HasSubstr("other data or settings")));
  }
}

TEST_F(ImportStageTest, AMistypedSourceLosesNothing) {
  stop();
  fs::create_directories(directory_ / "other");
  ImportOptions mistyped = options();
  for (const char* name : {"other", "no_such"}) {
    mistyped.from = directory_ / name;
    EXPECT_THROW(attempt("custom_text", mistyped, data(), 100), DataError) << name;
  }
  EXPECT_THAT(attempt("custom_text", options(), data(), 100).notes, Contains(HasSubstr("going on where")));
}

TEST_F(ImportStageTest, BeginsAgainWhenWhatWasKeptIsDamaged) {
  const std::string expected = imported_at_once("custom_text", directory_ / "tree", directory_ / "w").dataset_sha256;
  write_archive_of(directory_ / "x.tar.gz", directory_ / "tree");
  ImportOptions from_archive = options();
  from_archive.from = directory_ / "x.tar.gz";
  for (const char* name : {"checkpoint", "entries", "tree"}) {
    for (const bool is_cut : {false, true}) {
      ASSERT_FALSE(attempt("custom_text", from_archive, data(), 6).is_done);
      const fs::path file = data() / ".custom_text.import" / name;
      if (is_cut) {
        fs::resize_file(file, fs::file_size(file) / 2);
      } else {
        testing::flip_byte(file, static_cast<int64_t>(fs::file_size(file)) / 2);
      }
      const Attempt made = attempt("custom_text", from_archive, data(), 100);
      EXPECT_TRUE(made.is_done);
      EXPECT_THAT(made.notes, Contains(HasSubstr("beginning again"))) << name;
      EXPECT_EQ(Dataset::open(data(), "custom_text").manifest().dataset_sha256, expected) << name;
    }
  }
}

TEST_F(ImportStageTest, AnEarlierCheckpointHoldsWhateverWasWrittenSince) {
  write_archive_of(directory_ / "x.tar.gz", directory_ / "tree");
  const std::string expected = imported_at_once("custom_text", directory_ / "tree", directory_ / "w").dataset_sha256;
  ImportOptions from_archive = options();
  from_archive.from = directory_ / "x.tar.gz";
  from_archive.writing = [](uint64_t, uint64_t) { throw Stopped(); };
  const fs::path checkpoint = data() / ".custom_text.import/checkpoint";
  std::set<std::string> checkpoints;
  const auto read_all_of_it = [&] {
    EXPECT_THROW(task_named("custom_text")
                     .import(from_archive, data(),
                             [&](uint64_t, uint64_t) {
                               if (fs::exists(checkpoint)) checkpoints.insert(testing::read_bytes(checkpoint));
                             }),
                 Stopped);
  };
  read_all_of_it();
  EXPECT_GE(checkpoints.size(), 3);
  for (const std::string& earlier : std::set(checkpoints)) {
    write_bytes(checkpoint, earlier);  // as if the process was killed just before it saved the next one
    ImportOptions whole = from_archive;
    whole.writing = {};
    EXPECT_TRUE(attempt("custom_text", whole, data(), 100).is_done);
    EXPECT_EQ(Dataset::open(data(), "custom_text").manifest().dataset_sha256, expected);
    read_all_of_it();
  }
}

TEST_F(ImportStageTest, NothingIsKeptOfDataThatAreWrong) {
  write_bytes(directory_ / "tree/train.tsv", "0\ta\n1\tb\nno tab\n");
  EXPECT_THROW(attempt("custom_text", options(), data(), 100), DataError);
  EXPECT_THAT(leftovers(data(), "custom_text"), ::testing::IsEmpty());
}

TEST_F(ImportStageTest, NothingIsKeptOfWhatTookNoTime) {
  ImportOptions with_interval = options();
  with_interval.checkpoint_interval_s = 60;
  EXPECT_FALSE(attempt("custom_text", with_interval, data(), 1).is_done);
  EXPECT_THAT(leftovers(data(), "custom_text"), ::testing::IsEmpty());
}

TEST_F(ImportStageTest, WritingIsToldAndMayBeStopped) {
  std::vector<uint64_t> told;
  ImportOptions telling = options();
  telling.writing = [&](uint64_t done, uint64_t total) {
    EXPECT_EQ(total, 80);
    told.push_back(done);
  };
  task_named("custom_text").import(telling, data(), {});
  EXPECT_EQ(told, (std::vector<uint64_t>{0, 80}));
  fs::remove_all(data());
  telling.writing = [](uint64_t, uint64_t) { throw Stopped(); };
  EXPECT_THROW(task_named("custom_text").import(telling, data(), {}), Stopped);
  EXPECT_FALSE(fs::exists(data() / "custom_text"));
  EXPECT_THAT(attempt("custom_text", options(), data(), 100).notes, Contains(HasSubstr("2 of 2 files were read")));
}

TEST_F(ImportStageTest, WhatAKillLeavesBesideAFinishedDatasetIsRemoved) {
  stop();
  fs::copy(data() / ".custom_text.import", directory_ / "kept");
  EXPECT_TRUE(attempt("custom_text", options(), data(), 100).is_done);
  ImportOptions without_force = options();
  without_force.force = false;
  fs::copy(directory_ / "kept", data() / ".custom_text.import");
  EXPECT_THROW(attempt("custom_text", without_force, data(), 100), UsageError);
  EXPECT_TRUE(stopped_import(data(), "custom_text").has_value()) << "an import with --force that was stopped";
  fs::remove(data() / ".custom_text.import/checkpoint");
  EXPECT_THROW(attempt("custom_text", without_force, data(), 100), UsageError);
  EXPECT_THAT(leftovers(data(), "custom_text"), ::testing::IsEmpty());
}

TEST_F(ImportStageTest, OnlyOneImportsATaskAtATime) {
  bool was_refused = false;
  const auto import_again = [&](uint64_t, uint64_t total) {
    if (total == 0 || was_refused) return;
    was_refused = true;
    EXPECT_THROW(task_named("custom_text").import(options(), data(), {}), ResourceError);
  };
  task_named("custom_text").import(options(), data(), import_again);
  EXPECT_TRUE(was_refused);
}

}  // namespace
}  // namespace lra::tasks
