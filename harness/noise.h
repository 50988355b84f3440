// What disturbs a measurement: how the machine is set up, and what it counted while steps were timed.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "reports/record.h"

namespace lra::harness {

/// What about the machine makes timings noisy, each with a hint: more threads than processors, a quota, hyper-threads
/// of one core, a frequency governor, other load. `cpus` are the processors this process may use.
std::vector<std::string> machine_warnings(int threads, const std::vector<int>& cpus,
                                          const std::filesystem::path& root = "/");

/// Counts that grow when something takes time from this process. Differences of two readings are of the time between.
struct NoiseCounters {
  double total_s = 0;  // of the processors this process may use
  double busy_s = 0;   // of those, running anything at all
  double steal_s = 0;  // of those, wanted but given to another virtual machine
  double own_s = 0;    // processor time of this process
  int64_t involuntary_switches = 0;
  int64_t thermal_throttles = 0;
  int64_t cgroup_throttles = 0;  // periods in which the quota ran out

  NoiseCounters& operator+=(const NoiseCounters& other);
  NoiseCounters operator-(const NoiseCounters& other) const;
};

NoiseCounters read_noise_counters(const std::vector<int>& cpus, const std::filesystem::path& root = "/");

/// What the samples (step times, sgemm bursts) and the counters over the timed steps come to.
reports::NoiseBlock describe_noise(std::span<const double> step_ms, std::span<const double> peaks_gflops,
                                   const NoiseCounters& counters);

/// What of it is too much for a trustworthy figure, each with a hint. `steps` were timed.
std::vector<std::string> noise_warnings(const reports::NoiseBlock& noise, int64_t steps);

}  // namespace lra::harness
