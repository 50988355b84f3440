#include "harness/environment.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <sstream>
#include <thread>

#include "build_info.h"
#include "engine/isa.h"
#include "engine/onednn/info.h"
#include "harness/proc_files.h"

namespace lra::harness {
namespace {

namespace fs = std::filesystem;

template <class T>
void keep_smaller(std::optional<T>& smallest, std::optional<T> candidate) {
  if (candidate && (!smallest || *candidate < *smallest)) smallest = candidate;
}

/// cpu.max: "<quota µs> <period µs>" or "max <period µs>".
std::optional<double> quota_v2(const fs::path& directory) {
  std::istringstream words(first_line(directory / "cpu.max"));
  std::string quota, period;
  words >> quota >> period;
  const auto quota_us = number_in(quota);
  const auto period_us = number_in(period);
  if (!quota_us || !period_us || !(*period_us > 0)) return std::nullopt;
  return *quota_us / *period_us;
}

std::optional<double> quota_v1(const fs::path& directory) {
  const auto quota_us = number_in(first_line(directory / "cpu.cfs_quota_us"));
  const auto period_us = number_in(first_line(directory / "cpu.cfs_period_us"));
  if (!quota_us || !period_us || !(*quota_us > 0) || !(*period_us > 0)) return std::nullopt;
  return *quota_us / *period_us;
}

std::vector<std::string> vector_extensions() {
  static constexpr const char* kInteresting[] = {"sse4_2",      "avx",         "f16c",        "fma",      "avx2",
                                                 "avx_vnni",    "avx512f",     "avx512bw",    "avx512dq", "avx512vl",
                                                 "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_bf16", "amx_tile",
                                                 "asimd",       "sve"};
  std::string flags = proc_value("/proc/cpuinfo", "flags");
  if (flags.empty()) flags = proc_value("/proc/cpuinfo", "Features");
  const std::string padded = fmt::format(" {} ", flags);
  std::vector<std::string> found;
  for (const char* name : kInteresting) {
    if (padded.find(fmt::format(" {} ", name)) != std::string::npos) found.emplace_back(name);
  }
  return found;
}

/// Vendor, family, model and stepping, as perf writes them; empty where /proc/cpuinfo has none (not x86).
std::optional<std::string> cpu_id() {
  std::string id;
  for (const char* key : {"vendor_id", "cpu family", "model", "stepping"}) {
    const std::string value = proc_value("/proc/cpuinfo", key);
    if (value.empty()) return std::nullopt;
    id += (id.empty() ? "" : "-") + value;
  }
  return id;
}

std::string operating_system() {
  utsname names{};
  if (::uname(&names) != 0) return "unknown";
  std::string distribution;
  std::ifstream file("/etc/os-release");
  for (std::string line; std::getline(file, line);) {
    constexpr std::string_view kKey = "PRETTY_NAME=";
    if (!line.starts_with(kKey)) continue;
    distribution = line.substr(kKey.size());
    std::erase(distribution, '"');
  }
  const std::string kernel = fmt::format("{} {} {}", names.sysname, names.release, names.machine);
  return distribution.empty() ? kernel : fmt::format("{}, {}", distribution, kernel);
}

std::string compiler() {
#if defined(__clang__)
  return fmt::format("Clang {}.{}.{}", __clang_major__, __clang_minor__, __clang_patchlevel__);
#else
  return fmt::format("GCC {}.{}.{}", __GNUC__, __GNUC_MINOR__, __GNUC_PATCHLEVEL__);
#endif
}

}  // namespace

std::vector<int> affinity_cpus() {
  // The kernel refuses a mask smaller than its own, so grow it until it fits.
  for (size_t count = 1024; count <= (size_t{1} << 20); count *= 2) {
    cpu_set_t* set = CPU_ALLOC(count);
    if (set == nullptr) break;
    const size_t bytes = CPU_ALLOC_SIZE(count);
    CPU_ZERO_S(bytes, set);
    std::vector<int> cpus;
    const bool fits = ::sched_getaffinity(0, bytes, set) == 0;
    for (size_t cpu = 0; fits && cpu < count; ++cpu) {
      if (CPU_ISSET_S(cpu, bytes, set)) cpus.push_back(static_cast<int>(cpu));
    }
    CPU_FREE(set);
    if (fits) return cpus;
  }
  std::vector<int> all(std::max(1u, std::thread::hardware_concurrency()));
  for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<int>(i);
  return all;
}

std::string format_cpu_list(const std::vector<int>& cpus) {
  std::string text;
  for (size_t first = 0; first < cpus.size();) {
    size_t last = first;
    while (last + 1 < cpus.size() && cpus[last + 1] == cpus[last] + 1) ++last;
    if (!text.empty()) text += ",";
    text += last == first ? fmt::format("{}", cpus[first]) : fmt::format("{}-{}", cpus[first], cpus[last]);
    first = last + 1;
  }
  return text;
}

std::optional<double> cgroup_cpu_limit(const fs::path& root) {
  std::optional<double> limit;
  for (const fs::path& level : cgroup_levels(root, root / "sys/fs/cgroup", "")) keep_smaller(limit, quota_v2(level));
  for (const char* mount : {"sys/fs/cgroup/cpu", "sys/fs/cgroup/cpu,cpuacct"}) {
    for (const fs::path& level : cgroup_levels(root, root / mount, "cpu")) keep_smaller(limit, quota_v1(level));
  }
  return limit;
}

std::optional<std::int64_t> memory_limit_bytes(const fs::path& root) {
  std::optional<double> limit;
  if (const auto total_kib = number_in(proc_value(root / "proc/meminfo", "MemTotal"))) limit = *total_kib * 1024;
  for (const fs::path& level : cgroup_levels(root, root / "sys/fs/cgroup", "")) {
    keep_smaller(limit, number_in(first_line(level / "memory.max")));
  }
  for (const fs::path& level : cgroup_levels(root, root / "sys/fs/cgroup/memory", "memory")) {
    keep_smaller(limit, number_in(first_line(level / "memory.limit_in_bytes")));
  }
  if (!limit) return std::nullopt;
  return static_cast<std::int64_t>(*limit);
}

int default_threads() {
  auto count = static_cast<double>(affinity_cpus().size());
  if (const auto limit = cgroup_cpu_limit()) count = std::min(count, std::floor(*limit));
  if (const char* slurm = std::getenv("SLURM_CPUS_PER_TASK")) {
    if (const auto cpus = number_in(slurm)) count = std::min(count, *cpus);
  }
  return std::max(1, static_cast<int>(count));
}

std::int64_t peak_rss_bytes() {
  rusage usage{};
  const std::int64_t from_usage = ::getrusage(RUSAGE_SELF, &usage) == 0 ? std::int64_t{usage.ru_maxrss} * 1024 : 0;
  // ru_maxrss starts from the parent's value after fork and exec; VmHWM is this program's own.
  const auto high_water_kib = number_in(proc_value("/proc/self/status", "VmHWM"));
  return high_water_kib ? static_cast<std::int64_t>(*high_water_kib * 1024) : from_usage;
}

bool reset_peak_rss() {
  std::ofstream file("/proc/self/clear_refs");
  return static_cast<bool>(file << "5" << std::flush);
}

std::string utc_now() { return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr))); }

std::string lra_version() { return LRA_VERSION; }
std::string git_commit() { return LRA_GIT_COMMIT; }

reports::EnvironmentBlock probe_environment(int threads) {
  reports::EnvironmentBlock environment;
  const std::string model = proc_value("/proc/cpuinfo", "model name");
  environment.cpu = model.empty() ? "unknown" : model;
  environment.cpu_id = cpu_id();
  environment.l2_bytes = cache_bytes(2);
  environment.l3_bytes = cache_bytes(3);
  environment.isa = engine::onednn::effective_isa();
  environment.isa_flags = vector_extensions();
  environment.kernel_isa = engine::name_of(engine::kernel_isa());
  environment.cores = default_threads();
  environment.threads = threads;
  environment.affinity = format_cpu_list(affinity_cpus());
  environment.onednn = engine::onednn::version();
  environment.eigen = LRA_EIGEN_VERSION;
  environment.compiler = compiler();
  environment.flags = LRA_BUILD_FLAGS;
  if (const std::string_view more = engine::kernel_flags(); !more.empty())
    environment.flags += fmt::format(" (kernels {})", more);
  environment.os = operating_system();
  environment.lra_version = lra_version();
  environment.git_commit = git_commit();
  environment.started_at = utc_now();
  return environment;
}

}  // namespace lra::harness
