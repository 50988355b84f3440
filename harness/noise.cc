#include "harness/noise.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <set>
#include <sstream>

#include "harness/environment.h"
#include "harness/proc_files.h"
#include "reports/statistics.h"

namespace lra::harness {
namespace {

namespace fs = std::filesystem;

fs::path cpu_directory(const fs::path& root, int cpu) {
  return root / fmt::format("sys/devices/system/cpu/cpu{}", cpu);
}

/// Groups of allowed processors that are hyper-threads of one core, each group once.
std::set<std::vector<int>> shared_cores(const std::vector<int>& cpus, const fs::path& root) {
  std::set<std::vector<int>> groups;
  for (const int cpu : cpus) {
    std::vector<int> group;
    for (const int sibling : parse_cpu_list(first_line(cpu_directory(root, cpu) / "topology/thread_siblings_list")))
      if (std::find(cpus.begin(), cpus.end(), sibling) != cpus.end()) group.push_back(sibling);
    std::sort(group.begin(), group.end());
    if (group.size() > 1) groups.insert(group);
  }
  return groups;
}

void warn_of_shared_cores(const std::vector<int>& cpus, const fs::path& root, std::vector<std::string>& warnings) {
  const std::set<std::vector<int>> groups = shared_cores(cpus, root);
  if (groups.empty()) return;
  std::vector<int> one_each = cpus;
  for (const std::vector<int>& group : groups)
    for (const int cpu : std::span(group).subspan(1)) std::erase(one_each, cpu);
  warnings.push_back(
      fmt::format("processors {} are hyper-threads of one core: bind to one of each core (taskset -c {})",
                  format_cpu_list(*groups.begin()), format_cpu_list(one_each)));
}

void warn_of_governors(const std::vector<int>& cpus, const fs::path& root, std::vector<std::string>& warnings) {
  std::set<std::string> governors;
  for (const int cpu : cpus) {
    const std::string governor = first_line(cpu_directory(root, cpu) / "cpufreq/scaling_governor");
    if (!governor.empty() && governor != "performance") governors.insert(governor);
  }
  for (const std::string& governor : governors)
    warnings.push_back(
        fmt::format("the frequency governor is `{}`: speeds follow the load; set `performance` "
                    "(cpupower frequency-set -g performance)",
                    governor));
}

/// Adds the times of the allowed processors from /proc/stat.
void read_processor_times(const std::vector<int>& cpus, const fs::path& root, NoiseCounters& counters) {
  const double tick_s = 1.0 / static_cast<double>(std::max(1L, ::sysconf(_SC_CLK_TCK)));
  std::ifstream file(root / "proc/stat");
  for (std::string line; std::getline(file, line) && line.starts_with("cpu");) {
    std::istringstream words(line.substr(3));
    int cpu = 0;
    // The first line sums all processors and has no number.
    if (line.starts_with("cpu ") || !(words >> cpu) || std::find(cpus.begin(), cpus.end(), cpu) == cpus.end()) continue;
    double user = 0, nice = 0, system = 0, idle = 0, io_wait = 0, irq = 0, soft_irq = 0, steal = 0;
    words >> user >> nice >> system >> idle >> io_wait >> irq >> soft_irq >> steal;
    const double busy = user + nice + system + irq + soft_irq;
    counters.busy_s += busy * tick_s;
    counters.steal_s += steal * tick_s;
    counters.total_s += (busy + idle + io_wait + steal) * tick_s;
  }
}

/// nr_throttled over all levels of this process's cgroup, version 2 or 1.
int64_t read_cgroup_throttles(const fs::path& root) {
  int64_t throttles = 0;
  const auto add = [&](const fs::path& mount, std::string_view controller) {
    for (const fs::path& level : cgroup_levels(root, mount, controller)) {
      std::ifstream file(level / "cpu.stat");
      int64_t value = 0;
      for (std::string key; file >> key >> value;)
        if (key == "nr_throttled") throttles += value;
    }
  };
  add(root / "sys/fs/cgroup", "");
  std::set<fs::path> mounts;  // the two names are often links to one place
  for (const char* mount : {"sys/fs/cgroup/cpu", "sys/fs/cgroup/cpu,cpuacct"}) {
    std::error_code error;
    const fs::path real = fs::canonical(root / mount, error);
    if (!error && mounts.insert(real).second) add(real, "cpu");
  }
  return throttles;
}

}  // namespace

std::vector<std::string> machine_warnings(int threads, const std::vector<int>& cpus, const fs::path& root) {
  std::vector<std::string> warnings;
  const auto allowed = static_cast<int>(cpus.size());
  const std::optional<double> quota = cgroup_cpu_limit(root);
  const int usable = quota ? std::clamp(static_cast<int>(*quota), 1, allowed) : allowed;
  if (threads > usable)
    warnings.push_back(
        fmt::format("{} threads on {} processors take turns: use --threads {}", threads, usable, usable));
  if (quota && *quota < threads)
    warnings.push_back(
        fmt::format("the control group grants {:.1f} processors' time: threads are stopped when it is used "
                    "up; raise the quota, or lower --threads",
                    *quota));
  warn_of_shared_cores(cpus, root, warnings);
  warn_of_governors(cpus, root, warnings);
  const std::optional<double> load = number_in(first_line(root / "proc/loadavg"));
  const size_t online = parse_cpu_list(first_line(root / "sys/devices/system/cpu/online")).size();
  const double processors = static_cast<double>(online > 0 ? online : cpus.size());
  constexpr double kIdleLoad = 0.25;  // of a processor's time each: what a quiet system's own work may come to
  if (load && *load > kIdleLoad * processors)
    warnings.push_back(
        fmt::format("the load average is {:.1f} on {:.0f} processors: other work slows this down; measure "
                    "on an idle machine",
                    *load, processors));
  return warnings;
}

NoiseCounters& NoiseCounters::operator+=(const NoiseCounters& other) {
  total_s += other.total_s;
  busy_s += other.busy_s;
  steal_s += other.steal_s;
  own_s += other.own_s;
  involuntary_switches += other.involuntary_switches;
  thermal_throttles += other.thermal_throttles;
  cgroup_throttles += other.cgroup_throttles;
  return *this;
}

NoiseCounters NoiseCounters::operator-(const NoiseCounters& other) const {
  return {.total_s = total_s - other.total_s,
          .busy_s = busy_s - other.busy_s,
          .steal_s = steal_s - other.steal_s,
          .own_s = own_s - other.own_s,
          .involuntary_switches = involuntary_switches - other.involuntary_switches,
          .thermal_throttles = thermal_throttles - other.thermal_throttles,
          .cgroup_throttles = cgroup_throttles - other.cgroup_throttles};
}

NoiseCounters read_noise_counters(const std::vector<int>& cpus, const fs::path& root) {
  NoiseCounters counters;
  read_processor_times(cpus, root, counters);
  for (const int cpu : cpus)
    for (const char* name : {"core_throttle_count", "package_throttle_count"})
      counters.thermal_throttles +=
          static_cast<int64_t>(number_in(first_line(cpu_directory(root, cpu) / "thermal_throttle" / name)).value_or(0));
  counters.cgroup_throttles = read_cgroup_throttles(root);
  rusage usage{};
  if (::getrusage(RUSAGE_SELF, &usage) == 0) {
    const auto seconds = [](const timeval& time) {
      return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
    };
    counters.own_s = seconds(usage.ru_utime) + seconds(usage.ru_stime);
    counters.involuntary_switches = usage.ru_nivcsw;
  }
  return counters;
}

reports::NoiseBlock describe_noise(std::span<const double> step_ms, std::span<const double> peaks_gflops,
                                   const NoiseCounters& counters) {
  reports::NoiseBlock noise{.involuntary_switches = counters.involuntary_switches,
                            .thermal_throttles = counters.thermal_throttles,
                            .cgroup_throttles = counters.cgroup_throttles};
  constexpr size_t kFewestForDrift = 4;
  if (!step_ms.empty()) noise.outlier_share = reports::outlier_share(step_ms);
  if (step_ms.size() >= kFewestForDrift) noise.drift = reports::drift(step_ms);
  if (!peaks_gflops.empty()) {
    const auto [least, most] = std::minmax_element(peaks_gflops.begin(), peaks_gflops.end());
    noise.peak_spread = (*most - *least) / reports::median(peaks_gflops);
  }
  if (counters.total_s > 0) {
    noise.steal_share = counters.steal_s / counters.total_s;
    noise.other_load_share = std::max(0.0, counters.busy_s - counters.own_s) / counters.total_s;
  }
  return noise;
}

std::vector<std::string> noise_warnings(const reports::NoiseBlock& noise, int64_t steps) {
  // Above these, a difference of a few percent between two measurements says nothing.
  constexpr double kMostOutliers = 0.1, kMostDrift = 0.05, kMostSpread = 0.1, kMostSteal = 0.01, kMostOther = 0.05;
  constexpr double kMostSwitchesPerStep = 10;
  std::vector<std::string> warnings;
  const auto percent = [](double share) { return 100 * share; };
  if (noise.outlier_share && *noise.outlier_share > kMostOutliers)
    warnings.push_back(
        fmt::format("{:.0f} % of the step times are outliers: raise --min-steps, or measure on an idle "
                    "machine",
                    percent(*noise.outlier_share)));
  if (noise.drift && std::abs(*noise.drift) > kMostDrift)
    warnings.push_back(
        fmt::format("the second half of the steps was {:.1f} % {} than the first: warm up longer "
                    "(--warmup-steps), or let the machine settle",
                    percent(std::abs(*noise.drift)), *noise.drift > 0 ? "slower" : "faster"));
  if (noise.peak_spread && *noise.peak_spread > kMostSpread)
    warnings.push_back(
        fmt::format("the sgemm peak varied by {:.0f} % between bursts: other work or the clock frequency "
                    "changed; trust the MFU, which is against the peak beside each step, more than steps/s",
                    percent(*noise.peak_spread)));
  if (noise.steal_share && *noise.steal_share > kMostSteal)
    warnings.push_back(
        fmt::format("{:.1f} % of the processors' time was taken by other virtual machines: measure again, "
                    "or on a machine of your own",
                    percent(*noise.steal_share)));
  if (noise.other_load_share && *noise.other_load_share > kMostOther)
    warnings.push_back(
        fmt::format("other processes took {:.0f} % of the processors' time: stop them, or use fewer "
                    "--threads",
                    percent(*noise.other_load_share)));
  const auto switches = static_cast<double>(noise.involuntary_switches.value_or(0));
  if (steps > 0 && switches > kMostSwitchesPerStep * static_cast<double>(steps))
    warnings.push_back(
        fmt::format("the kernel interrupted threads {:.0f} times a step: stop other work, or bind the "
                    "program to its processors (taskset)",
                    switches / static_cast<double>(steps)));
  if (noise.thermal_throttles.value_or(0) > 0)
    warnings.push_back(
        fmt::format("the processor throttled itself {} times: it is too hot or short of power; improve the "
                    "cooling, or lower --threads",
                    *noise.thermal_throttles));
  if (noise.cgroup_throttles.value_or(0) > 0)
    warnings.push_back(
        fmt::format("the control group stopped the program {} times at its processor quota: raise the "
                    "quota, or lower --threads",
                    *noise.cgroup_throttles));
  return warnings;
}

}  // namespace lra::harness
