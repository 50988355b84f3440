#include "harness/proc_files.h"

#include <fmt/format.h>

#include <charconv>
#include <fstream>
#include <sstream>

namespace lra::harness {

namespace fs = std::filesystem;

std::string first_line(const fs::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::string proc_value(const fs::path& path, std::string_view key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(':');
    if (colon == std::string::npos || !line.starts_with(key)) continue;
    if (line.find_last_not_of(" \t", colon - 1) + 1 != key.size()) continue;
    const size_t begin = line.find_first_not_of(" \t", colon + 1);
    return begin == std::string::npos ? "" : line.substr(begin);
  }
  return "";
}

std::optional<double> number_in(const std::string& text) {
  double value = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || stop == text.data()) return std::nullopt;
  return value;
}

std::vector<int> parse_cpu_list(const std::string& text) {
  constexpr int kMostCpus = 1 << 16;  // a longer range is not a list of processors
  std::vector<int> cpus;
  std::istringstream parts(text);
  for (std::string part; std::getline(parts, part, ',');) {
    int first = 0;
    const char* const end = part.data() + part.size();
    const auto [after_first, error] = std::from_chars(part.data(), end, first);
    if (error != std::errc()) continue;
    int last = first;
    if (after_first != end && *after_first == '-') std::from_chars(after_first + 1, end, last);
    if (first < 0 || last - first > kMostCpus) continue;
    for (int cpu = first; cpu <= last; ++cpu) cpus.push_back(cpu);
  }
  return cpus;
}

std::vector<fs::path> cgroup_levels(const fs::path& root, const fs::path& mount, std::string_view controller) {
  std::vector<fs::path> levels = {mount};
  std::ifstream file(root / "proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = fmt::format(",{},", line.substr(first + 1, second - first - 1));
    const bool matches = controller.empty() ? controllers == ",,"
                                            : controllers.find(fmt::format(",{},", controller)) != std::string::npos;
    if (!matches) continue;
    fs::path level = mount;
    for (const fs::path& name : fs::path(line.substr(second + 1)).relative_path()) {
      if (name == "..") break;  // a namespace shows a parent it may not name
      level /= name;
      levels.push_back(level);
    }
  }
  return levels;
}

std::optional<int64_t> cache_bytes(int level, const fs::path& root) {
  constexpr int kMostCaches = 16;
  for (int index = 0; index < kMostCaches; ++index) {
    const fs::path cache = root / fmt::format("sys/devices/system/cpu/cpu0/cache/index{}", index);
    if (first_line(cache / "level") != fmt::format("{}", level) || first_line(cache / "type") == "Instruction")
      continue;
    const std::string size = first_line(cache / "size");  // "2048K"
    const std::optional<double> count = number_in(size);
    if (!count || size.empty()) return std::nullopt;
    const int64_t unit = size.back() == 'K' ? 1 << 10 : size.back() == 'M' ? 1 << 20 : 1;
    return static_cast<int64_t>(*count) * unit;
  }
  return std::nullopt;
}

}  // namespace lra::harness
