// Where and with what a run takes place: processor, limits, libraries, build. Feeds the record's environment block.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "reports/record.h"

namespace lra::harness {

/// Everything of the record's environment block; `started_at` is now.
reports::EnvironmentBlock probe_environment(int threads);

/// Logical processors this process may keep busy: its affinity mask, the cgroup's quota and $SLURM_CPUS_PER_TASK, the
/// smallest of them; at least 1.
int default_threads();

/// Processors of the affinity mask, in ascending order.
std::vector<int> affinity_cpus();

/// "0-3,8" for {0, 1, 2, 3, 8}.
std::string format_cpu_list(const std::vector<int>& cpus);

/// Processors' worth of time that the cgroup (v2, or v1) allows, the tightest level counted; empty when unlimited.
/// `root` stands for "/".
std::optional<double> cgroup_cpu_limit(const std::filesystem::path& root = "/");

/// Bytes this process may have: the cgroup's limit or the machine's memory, the smaller; empty when unknown.
std::optional<std::int64_t> memory_limit_bytes(const std::filesystem::path& root = "/");

/// Largest resident set of this process so far, or since reset_peak_rss().
std::int64_t peak_rss_bytes();
/// Makes the present resident set the largest so far. False where the kernel does not let it.
bool reset_peak_rss();

/// "2024-05-06T07:08:09Z".
std::string utc_now();

/// Version and commit of this program: "0.1.0", "<40 hexadecimal digits>[-dirty]" or "unknown".
std::string lra_version();
std::string git_commit();

}  // namespace lra::harness
