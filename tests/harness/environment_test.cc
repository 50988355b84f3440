// The environment probe: limits read from made-up trees, and what this machine reports.
#include "harness/environment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>

#include <fstream>

namespace lra::harness {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;
using ::testing::Not;

class LimitsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "lra_environment_XXXXXX").string();
    root_ = ::mkdtemp(pattern.data());
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  void write(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories((root_ / name).parent_path());
    std::ofstream(root_ / name) << text;
  }

  std::filesystem::path root_;
};

TEST_F(LimitsTest, ReadsTheTightestQuotaOfCgroupV2) {
  write("proc/self/cgroup", "0::/user.slice/job\n");
  write("sys/fs/cgroup/user.slice/cpu.max", "150000 100000\n");
  write("sys/fs/cgroup/user.slice/job/cpu.max", "max 100000\n");
  EXPECT_EQ(cgroup_cpu_limit(root_), 1.5);
}

TEST_F(LimitsTest, ReadsTheQuotaOfCgroupV1) {
  write("proc/self/cgroup", "5:memory:/job\n4:cpu,cpuacct:/job\n");
  write("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
  write("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  write("sys/fs/cgroup/cpu/job/cpu.cfs_quota_us", "400000\n");
  write("sys/fs/cgroup/cpu/job/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(cgroup_cpu_limit(root_), 4.0);
}

TEST_F(LimitsTest, KnowsNoLimitWhereNoneIsWritten) {
  EXPECT_FALSE(cgroup_cpu_limit(root_).has_value());
  EXPECT_FALSE(memory_limit_bytes(root_).has_value());
  write("sys/fs/cgroup/cpu.max", "garbage\n");
  write("proc/self/cgroup", "garbage\n");
  EXPECT_FALSE(cgroup_cpu_limit(root_).has_value());
}

TEST_F(LimitsTest, TakesTheSmallerOfMachineAndCgroupMemory) {
  write("proc/meminfo", "MemTotal:       2048 kB\nMemFree: 1 kB\n");
  EXPECT_EQ(memory_limit_bytes(root_), 2048 * 1024);
  write("proc/self/cgroup", "0::/\n");
  write("sys/fs/cgroup/memory.max", "max\n");
  EXPECT_EQ(memory_limit_bytes(root_), 2048 * 1024);
  write("sys/fs/cgroup/memory.max", "1048576\n");
  EXPECT_EQ(memory_limit_bytes(root_), 1048576);
}

TEST(CpuList, IsWrittenAsTasksetWritesIt) {
  EXPECT_EQ(format_cpu_list({}), "");
  EXPECT_EQ(format_cpu_list({3}), "3");
  EXPECT_EQ(format_cpu_list({0, 1, 2, 3, 8, 10, 11}), "0-3,8,10-11");
}

TEST(DefaultThreads, FollowsTheAffinityMask) {
  cpu_set_t before;
  ASSERT_EQ(::sched_getaffinity(0, sizeof before, &before), 0);
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(affinity_cpus().front(), &one);
  ASSERT_EQ(::sched_setaffinity(0, sizeof one, &one), 0);
  EXPECT_EQ(default_threads(), 1);
  EXPECT_EQ(affinity_cpus().size(), 1u);
  ASSERT_EQ(::sched_setaffinity(0, sizeof before, &before), 0);
  EXPECT_GE(default_threads(), 1);
}

TEST(DefaultThreads, FollowsSlurm) {
  ::setenv("SLURM_CPUS_PER_TASK", "1", 1);
  EXPECT_EQ(default_threads(), 1);
  ::setenv("SLURM_CPUS_PER_TASK", "nonsense", 1);
  EXPECT_GE(default_threads(), 1);
  ::unsetenv("SLURM_CPUS_PER_TASK");
}

TEST(ProbeEnvironment, FillsEveryField) {
  const reports::EnvironmentBlock environment = probe_environment(3);
  EXPECT_EQ(environment.threads, 3);
  EXPECT_GE(environment.cores, 1);
  for (const std::string& text :
       {environment.cpu, environment.isa, environment.affinity, environment.onednn, environment.eigen,
        environment.compiler, environment.flags, environment.os, environment.lra_version, environment.git_commit}) {
    EXPECT_THAT(text, Not(IsEmpty()));
  }
#if defined(__x86_64__)
  EXPECT_THAT(environment.cpu_id.value_or(""), MatchesRegex("[A-Za-z]+(-[0-9]+){3}"));
#endif
  EXPECT_THAT(environment.git_commit, MatchesRegex("unknown|[0-9a-f]{40}(-dirty)?"));
  EXPECT_THAT(environment.started_at, MatchesRegex("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z"));
  EXPECT_THAT(environment.os, HasSubstr("Linux"));
}

TEST(PeakRss, GrowsWithWhatIsTouched) {
  const std::int64_t before = peak_rss_bytes();
  EXPECT_GT(before, 1 << 20);
  const std::vector<char> touched(std::size_t{64} << 20, 1);
  EXPECT_GE(peak_rss_bytes(), before + (32 << 20));
  EXPECT_EQ(touched.back(), 1);
}

}  // namespace
}  // namespace lra::harness
