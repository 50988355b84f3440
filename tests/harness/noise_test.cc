// Warnings of a noisy machine, from made-up /proc and /sys trees and made-up samples.
#include "harness/noise.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "harness/proc_files.h"
#include "tests/temporary_directory.h"

namespace lra::harness {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class NoiseTest : public ::testing::Test {
 protected:
  void write(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories((root_ / name).parent_path());
    lra::testing::write_bytes(root_ / name, text);
  }
  void write_cpu(int cpu, const std::string& name, const std::string& text) const {
    write("sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/" + name, text);
  }
  std::vector<std::string> warnings(int threads, const std::vector<int>& cpus) const {
    return machine_warnings(threads, cpus, root_.path());
  }

  lra::testing::TemporaryDirectory root_;
};

TEST_F(NoiseTest, AQuietMachineGivesNoWarning) {
  EXPECT_THAT(warnings(2, {0, 1}), IsEmpty());  // of which nothing at all is known
  write("proc/loadavg", "0.10 0.20 0.30 1/100 1234\n");
  write("sys/devices/system/cpu/online", "0-3\n");
  for (const int cpu : {0, 1}) {
    write_cpu(cpu, "cpufreq/scaling_governor", "performance\n");
    write_cpu(cpu, "topology/thread_siblings_list", std::to_string(cpu) + "," + std::to_string(cpu + 2) + "\n");
  }
  EXPECT_THAT(warnings(2, {0, 1}), IsEmpty());  // their siblings are not allowed
}

TEST_F(NoiseTest, WarnsOfMoreThreadsThanProcessors) {
  EXPECT_THAT(warnings(5, {0, 2, 4}), ElementsAre(AllOf(HasSubstr("5 threads on 3"), HasSubstr("--threads 3"))));
}

TEST_F(NoiseTest, WarnsOfAQuota) {
  write("proc/self/cgroup", "0::/job\n");
  write("sys/fs/cgroup/job/cpu.max", "250000 100000\n");
  EXPECT_THAT(warnings(4, {0, 1, 2, 3}), ElementsAre(HasSubstr("4 threads on 2"), HasSubstr("2.5 processors' time")));
  EXPECT_THAT(warnings(2, {0, 1, 2, 3}), IsEmpty());
}

TEST_F(NoiseTest, WarnsOfHyperThreadsOfOneCore) {
  for (const int cpu : {0, 4}) write_cpu(cpu, "topology/thread_siblings_list", "0,4\n");
  for (const int cpu : {1, 5}) write_cpu(cpu, "topology/thread_siblings_list", "1,5\n");
  EXPECT_THAT(warnings(2, {0, 1, 4, 5}),
              ElementsAre(AllOf(HasSubstr("processors 0,4 are hyper-threads"), HasSubstr("taskset -c 0-1"))));
  EXPECT_THAT(warnings(2, {0, 1}), IsEmpty());
}

TEST_F(NoiseTest, WarnsOfGovernorsThatFollowTheLoad) {
  write_cpu(0, "cpufreq/scaling_governor", "performance\n");
  write_cpu(1, "cpufreq/scaling_governor", "schedutil\n");
  EXPECT_THAT(warnings(2, {0, 1}), ElementsAre(AllOf(HasSubstr("`schedutil`"), HasSubstr("cpupower"))));
  EXPECT_THAT(warnings(1, {0}), IsEmpty());
}

TEST_F(NoiseTest, WarnsOfOtherLoad) {
  write("proc/loadavg", "1.50 0.20 0.30 1/100 1234\n");
  write("sys/devices/system/cpu/online", "0-3\n");
  EXPECT_THAT(warnings(1, {0}), ElementsAre(HasSubstr("load average is 1.5 on 4 processors")));
  write("sys/devices/system/cpu/online", "0-7\n");
  EXPECT_THAT(warnings(1, {0}), IsEmpty());
}

TEST_F(NoiseTest, CountersAreReadForTheAllowedProcessorsOnly) {
  const double hertz = static_cast<double>(::sysconf(_SC_CLK_TCK));
  write("proc/stat",
        "cpu  9 9 9 9 9 9 9 9 0 0\n"
        "cpu0 100 1 2 300 4 5 6 7 0 0\n"
        "cpu1 1000 0 0 1000 0 0 0 1000 0 0\n"
        "cpu2 10 0 0 20 0 0 0 30 0 0\n"
        "intr 1 2 3\n");
  for (const int cpu : {0, 1, 2}) {
    write_cpu(cpu, "thermal_throttle/core_throttle_count", std::to_string(cpu + 1) + "\n");
    write_cpu(cpu, "thermal_throttle/package_throttle_count", "10\n");
  }
  write("proc/self/cgroup", "0::/job\n");
  write("sys/fs/cgroup/cpu.stat", "usage_usec 5\nnr_periods 9\nnr_throttled 1\nthrottled_usec 7\n");
  write("sys/fs/cgroup/job/cpu.stat", "nr_throttled 4\n");
  const NoiseCounters counters = read_noise_counters({0, 2}, root_.path());
  EXPECT_DOUBLE_EQ(counters.busy_s, (100 + 1 + 2 + 5 + 6 + 10) / hertz);
  EXPECT_DOUBLE_EQ(counters.steal_s, 37 / hertz);
  EXPECT_DOUBLE_EQ(counters.total_s, (425 + 60) / hertz);
  EXPECT_EQ(counters.thermal_throttles, 1 + 3 + 20);
  EXPECT_EQ(counters.cgroup_throttles, 5);
  EXPECT_GT(counters.own_s, 0);
}

TEST_F(NoiseTest, CountersOfVersionOneGroupsCountOnceUnderBothNames) {
  write("proc/self/cgroup", "4:cpu,cpuacct:/job\n");
  write("sys/fs/cgroup/cpu,cpuacct/job/cpu.stat", "nr_periods 9\nnr_throttled 3\nthrottled_time 7\n");
  std::filesystem::create_directory_symlink(root_ / "sys/fs/cgroup/cpu,cpuacct", root_ / "sys/fs/cgroup/cpu");
  EXPECT_EQ(read_noise_counters({0}, root_.path()).cgroup_throttles, 3);
}

TEST_F(NoiseTest, CountersOfNothingAreZero) {
  const NoiseCounters counters = read_noise_counters({0}, root_.path());
  EXPECT_EQ(counters.total_s, 0);
  EXPECT_EQ(counters.thermal_throttles, 0);
  EXPECT_EQ(counters.cgroup_throttles, 0);
}

TEST(NoiseCountersTest, DifferencesAddUp) {
  const NoiseCounters a{.total_s = 10, .busy_s = 4, .steal_s = 1, .own_s = 3, .involuntary_switches = 5};
  const NoiseCounters b{.total_s = 14,
                        .busy_s = 7,
                        .steal_s = 2,
                        .own_s = 4,
                        .involuntary_switches = 9,
                        .thermal_throttles = 1,
                        .cgroup_throttles = 2};
  NoiseCounters sum;
  sum += b - a;
  sum += b - a;
  EXPECT_EQ(sum.total_s, 8);
  EXPECT_EQ(sum.busy_s, 6);
  EXPECT_EQ(sum.steal_s, 2);
  EXPECT_EQ(sum.own_s, 2);
  EXPECT_EQ(sum.involuntary_switches, 8);
  EXPECT_EQ(sum.thermal_throttles, 2);
  EXPECT_EQ(sum.cgroup_throttles, 4);
}

TEST(NoiseBlockTest, SumsUpSamplesAndCounters) {
  const std::vector<double> step_ms = {10, 10, 10, 11, 11, 11}, peaks = {95, 100, 105};
  const reports::NoiseBlock noise = describe_noise(
      step_ms, peaks, {.total_s = 10, .busy_s = 7, .steal_s = 0.5, .own_s = 6, .involuntary_switches = 12});
  EXPECT_EQ(noise.outlier_share, 0.0);
  EXPECT_NEAR(*noise.drift, 0.1, 1e-12);
  EXPECT_NEAR(*noise.peak_spread, 0.1, 1e-12);
  EXPECT_NEAR(*noise.steal_share, 0.05, 1e-12);
  EXPECT_NEAR(*noise.other_load_share, 0.1, 1e-12);
  EXPECT_EQ(noise.involuntary_switches, 12);
}

TEST(NoiseBlockTest, LeavesOutWhatCannotBeKnown) {
  const reports::NoiseBlock noise = describe_noise(std::vector<double>{10, 10, 10}, {}, {});
  EXPECT_FALSE(noise.drift.has_value());  // of three samples
  EXPECT_FALSE(noise.peak_spread.has_value());
  EXPECT_FALSE(noise.steal_share.has_value());
}

TEST(NoiseWarningsTest, NameEachDisturbanceWithAHint) {
  EXPECT_THAT(noise_warnings({}, 5), IsEmpty());
  const reports::NoiseBlock quiet{.outlier_share = 0.1,
                                  .drift = -0.05,
                                  .peak_spread = 0.1,
                                  .steal_share = 0.01,
                                  .other_load_share = 0.05,
                                  .involuntary_switches = 50};
  EXPECT_THAT(noise_warnings(quiet, 5), IsEmpty());
  const reports::NoiseBlock noisy{.outlier_share = 0.2,
                                  .drift = -0.08,
                                  .peak_spread = 0.3,
                                  .steal_share = 0.02,
                                  .other_load_share = 0.5,
                                  .involuntary_switches = 100,
                                  .thermal_throttles = 3,
                                  .cgroup_throttles = 4};
  EXPECT_THAT(noise_warnings(noisy, 5),
              ElementsAre(AllOf(HasSubstr("20 % of the step times are outliers"), HasSubstr("--min-steps")),
                          AllOf(HasSubstr("8.0 % faster than the first"), HasSubstr("--warmup-steps")),
                          AllOf(HasSubstr("varied by 30 %"), HasSubstr("MFU")),
                          AllOf(HasSubstr("2.0 %"), HasSubstr("virtual machines")),
                          AllOf(HasSubstr("took 50 %"), HasSubstr("--threads")),
                          AllOf(HasSubstr("20 times a step"), HasSubstr("taskset")),
                          AllOf(HasSubstr("throttled itself 3 times"), HasSubstr("cooling")),
                          AllOf(HasSubstr("4 times"), HasSubstr("quota"))));
}

TEST(CpuListTest, IsReadAsTheKernelWritesIt) {
  EXPECT_THAT(parse_cpu_list("0-2,8"), ElementsAre(0, 1, 2, 8));
  EXPECT_THAT(parse_cpu_list("3"), ElementsAre(3));
  EXPECT_THAT(parse_cpu_list("x,4,5-"), ElementsAre(4, 5));
  EXPECT_THAT(parse_cpu_list(""), IsEmpty());
  EXPECT_THAT(parse_cpu_list("0-999999999"), IsEmpty());
}

}  // namespace
}  // namespace lra::harness
