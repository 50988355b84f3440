#include "harness/memory.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <string>

#include "engine/errors.h"

namespace lra::harness {
namespace {

constexpr int64_t kUnlimited = std::numeric_limits<int64_t>::max();

int64_t read_number(const std::string& path) {
  std::ifstream file(path);
  int64_t number = 0;
  return file >> number ? number : kUnlimited;  // "max" or no such file
}

int64_t cgroup_left_bytes() {
  std::ifstream file("/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("0::")) continue;  // version 2
    const std::string folder = "/sys/fs/cgroup" + line.substr(3);
    const int64_t limit = read_number(folder + "/memory.max"), used = read_number(folder + "/memory.current");
    if (limit != kUnlimited && used != kUnlimited) return std::max<int64_t>(0, limit - used);
  }
  return kUnlimited;
}

int64_t system_available_bytes() {
  std::ifstream file("/proc/meminfo");
  for (std::string key, unit; file >> key;) {
    int64_t kibibytes = 0;
    file >> kibibytes;
    std::getline(file, unit);
    if (key == "MemAvailable:") return kibibytes * 1024;
  }
  return kUnlimited;
}

}  // namespace

int64_t available_memory_bytes() { return std::min(system_available_bytes(), cgroup_left_bytes()); }

int64_t parse_bytes(const char* text) {
  char* end = nullptr;
  const double number = std::strtod(text, &end);
  const std::string unit(end);
  double factor = 0;
  if (unit.empty() || unit == "B") factor = 1;
  if (unit == "K" || unit == "KiB") factor = 1024.0;
  if (unit == "M" || unit == "MiB") factor = 1024.0 * 1024;
  if (unit == "G" || unit == "GiB") factor = 1024.0 * 1024 * 1024;
  if (end == text || factor == 0 || !(number > 0) || number * factor > 9e18)
    throw UsageError(fmt::format("[memory] cannot read `{}` as a number of bytes", text),
                     "write for example 512M or 4G");
  return static_cast<int64_t>(number * factor);
}

}  // namespace lra::harness
