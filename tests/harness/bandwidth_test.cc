// The memory bandwidth: how large its arrays are on made-up machines, and that it measures something.
#include "harness/bandwidth.h"

#include <gtest/gtest.h>

#include "tests/temporary_directory.h"

namespace lra::harness {
namespace {

constexpr int64_t kMiB = int64_t{1} << 20, kPlenty = int64_t{1} << 40;

class TriadArraysTest : public ::testing::Test {
 protected:
  void write_cache(int index, const std::string& level, const std::string& type, const std::string& size) const {
    const auto directory = root_.path() / ("sys/devices/system/cpu/cpu0/cache/index" + std::to_string(index));
    std::filesystem::create_directories(directory);
    lra::testing::write_bytes(directory / "level", level + "\n");
    lra::testing::write_bytes(directory / "type", type + "\n");
    lra::testing::write_bytes(directory / "size", size + "\n");
  }
  int64_t bytes(int threads, int64_t available = kPlenty) const {
    return triad_array_bytes(threads, available, root_.path());
  }
  lra::testing::TemporaryDirectory root_;
};

TEST_F(TriadArraysTest, ReachBeyondTheLastLevelCache) {
  write_cache(0, "1", "Data", "32K");
  write_cache(1, "1", "Instruction", "32K");
  write_cache(2, "2", "Unified", "1024K");
  write_cache(3, "3", "Unified", "96M");
  EXPECT_EQ(bytes(4), 12 * kMiB);  // 3 arrays x 4 threads x 12 = 144 MiB
  EXPECT_EQ(bytes(64), 4 * kMiB);  // four times L2, at least
  EXPECT_EQ(bytes(1), 48 * kMiB);
  write_cache(3, "3", "Unified", "491520K");
  EXPECT_EQ(bytes(2), 64 * kMiB);  // no more
}

TEST_F(TriadArraysTest, FitInHalfOfTheMemoryOrAreLeftOut) {
  write_cache(0, "2", "Unified", "1M");
  write_cache(1, "3", "Unified", "96M");
  EXPECT_EQ(bytes(1, 200 * kMiB), 24 * kMiB);
  EXPECT_EQ(bytes(1, 24 * kMiB), 0);  // halving gives 3 MiB, less than four times L2
  EXPECT_EQ(bytes(1, 36 * kMiB), 6 * kMiB);
  EXPECT_EQ(bytes(1, 0), 0);
  EXPECT_EQ(bytes(1, -1), 0);
}

TEST_F(TriadArraysTest, AssumeAMebibyteOfL2WhereNothingIsKnown) { EXPECT_EQ(bytes(2), 4 * kMiB); }

TEST(TriadTest, MeasuresAPlausibleRate) {
  engine::Workers workers(2);
  const double gb_per_s = measure_triad_gb_per_s(workers, 4 * kMiB, 0.01);
  EXPECT_GT(gb_per_s, 0.1);
  EXPECT_LT(gb_per_s, 1e5);
}

}  // namespace
}  // namespace lra::harness
