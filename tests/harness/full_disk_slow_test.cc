// A disk that fills at every stage of training and data preparation, read-only places, and `ulimit -f`.
#include <sys/resource.h>

#include "tests/harness/program.h"
#include "tests/harness/small_disk.h"

namespace lra::testing {
namespace {

constexpr uint64_t kPageBytes = 4096;  // what tmpfs counts in

class FullDiskTest : public ProgramTest {
 protected:
  void SetUp() override {
    if (!disk_.mounted()) GTEST_SKIP() << disk_.why_not();
    make_data();
  }

  /// Grows the disk from almost nothing until `arguments` succeed; returns how often they were refused. What is in
  /// `kept` is looked at after each refusal.
  int refusals_until_it_fits(const Arguments& arguments, uint64_t step_bytes, const std::function<void()>& look) {
    constexpr int kLimit = 200;
    for (int refusals = 0; refusals < kLimit; ++refusals) {
      EXPECT_TRUE(disk_.resize(2 * kPageBytes + static_cast<uint64_t>(refusals) * step_bytes));
      const Outcome outcome = run(arguments);
      if (outcome.exit_code == 0) return refusals;
      expect_refused(outcome, 5, {disk_.path().string(), "No space left on device", "free"});
      look();
      if (HasFailure()) return refusals;
    }
    ADD_FAILURE() << "does not fit in " << disk_.path();
    return kLimit;
  }

  /// Names below the disk, apart from lock files.
  std::vector<std::string> names_on_disk() const {
    std::vector<std::string> names;
    for (const auto& [name, content] : contents_of(disk_.path()))
      if (!name.ends_with(".lock")) names.push_back(name);
    return names;
  }

  SmallDisk disk_{uint64_t{1} << 30};
};

TEST_F(FullDiskTest, ATrainingIsRefusedAtEveryStageAndGoesOnWhenThereIsSpace) {
  const Arguments more = {"--set", "train.steps=20",           "--set",   "train.eval_every=4",
                          "--set", "train.checkpoint_every=1", "--resume"};
  ASSERT_EQ(run(train(more)).exit_code, 0);
  const fs::path undisturbed = run_directory();
  uint64_t needed_bytes = 0;
  for (const auto& entry : fs::recursive_directory_iterator(undisturbed))
    if (entry.is_regular_file()) needed_bytes += entry.file_size();

  const int refusals = refusals_until_it_fits(train(more, disk_.path().string()), needed_bytes / 20, [&] {
    for (const std::string& name : names_on_disk()) EXPECT_EQ(name.find(".tmp-"), std::string::npos) << name;
  });
  EXPECT_GE(refusals, 5);
  const fs::path directory = disk_.path() / undisturbed.lexically_relative(path("runs"));
  EXPECT_EQ(without_timings(json_of(directory / "result.json")), without_timings(json_of(undisturbed / "result.json")));
  EXPECT_EQ(contents_of(directory).size(), contents_of(undisturbed).size());
}

TEST_F(FullDiskTest, ADatasetIsRefusedAtEveryStageAndNothingIsLeft) {
  const auto expected = contents_of(path("data") / "listops");
  const Arguments generate = {"data",
                              "generate",
                              "listops",
                              "--data",
                              disk_.path().string(),
                              "--seed",
                              "0",
                              "--train",
                              "200",
                              "--validation",
                              "40",
                              "--test",
                              "50",
                              "--set",
                              "task.min_length=20",
                              "--set",
                              "task.max_length=100"};
  const auto nothing_left = [&] { EXPECT_THAT(names_on_disk(), ::testing::IsEmpty()); };
  EXPECT_GE(refusals_until_it_fits(generate, kPageBytes, nothing_left), 5);
  EXPECT_TRUE(contents_of(disk_ / "listops") == expected) << "another dataset than without a full disk";
}

TEST_F(FullDiskTest, AnExportLeavesTheWholeFileOrNone) {
  const Arguments exporting = {"data",
                               "export",
                               "listops",
                               "--data",
                               text("data"),
                               "--split",
                               "train",
                               "--format",
                               "tsv",
                               "--output",
                               (disk_ / "train.tsv").string()};
  const auto nothing_left = [&] { EXPECT_THAT(names_on_disk(), ::testing::IsEmpty()); };
  EXPECT_GE(refusals_until_it_fits(exporting, kPageBytes, nothing_left), 2);
  EXPECT_TRUE(fs::exists(disk_ / "train.tsv"));
}

TEST_F(FullDiskTest, AReadOnlyPlaceIsReadFromAndNeverWrittenTo) {
  const std::string runs = (disk_ / "runs").string();
  fs::copy(path("data"), disk_ / "data", fs::copy_options::recursive);
  ASSERT_EQ(run(train({}, runs)).exit_code, 0);
  ASSERT_TRUE(disk_.make_read_only());
  const auto before = contents_of(disk_.path());
  for (const Arguments& more : {Arguments{}, Arguments{"--resume"}, Arguments{"--force"}})
    refuses(train(more, runs), 5, {runs, "Read-only file system"});
  refuses(train({"--seed", "9"}, runs), 5, {runs, "Read-only file system"});
  const std::string data = (disk_ / "data").string();
  for (const std::string& place : {data, (disk_ / "other").string()})
    refuses({"data", "generate", "listops", "--data", place, "--train", "10", "--force"}, 5, {"Read-only file system"});
  refuses({"data", "export", "listops", "--data", data, "--split", "test", "--format", "npy", "--output",
           (disk_ / "test.npy").string()},
          5, {"test.npy", "Read-only file system"});
  EXPECT_EQ(run({"data", "verify", "listops", "--data", data}).exit_code, 0);
  for (const auto& entry : fs::recursive_directory_iterator(runs))
    if (entry.path().filename() == "config.json") {
      EXPECT_EQ(run({"eval", entry.path().parent_path().string(), "--data", data}).exit_code, 0);
    }
  EXPECT_EQ(contents_of(disk_.path()), before);
}

/// Children of the test may not write files above a size while this lives.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(uint64_t bytes) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{.rlim_cur = bytes, .rlim_max = before_.rlim_max};
    EXPECT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
  }
  ~FileSizeLimit() { ::setrlimit(RLIMIT_FSIZE, &before_); }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  rlimit before_{};
};

class FileSizeTest : public ProgramTest {};

TEST_F(FileSizeTest, ALimitOnFileSizesIsAnErrorNotASignal) {
  make_data();
  constexpr uint64_t kLimitBytes = 8192;
  const FileSizeLimit limit(kLimitBytes);
  refuses(train(), 5, {"safetensors", "File too large", "ulimit -f"});
  refuses({"data", "generate", "listops", "--data", text("other"), "--train", "1000"}, 5,
          {"File too large", "ulimit -f"});
  EXPECT_FALSE(fs::exists(path("other") / "listops"));
}

}  // namespace
}  // namespace lra::testing
