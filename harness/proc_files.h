// Reading the kernel's text files under /proc and /sys. Everything there is optional: what is missing reads as empty.
// `root` stands for "/" everywhere, so that tests can use a made-up tree.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lra::harness {

/// First line of a file, "" when it cannot be read.
std::string first_line(const std::filesystem::path& path);

/// The value after "key   : value", as in /proc/cpuinfo or /proc/self/status; "" when there is none.
std::string proc_value(const std::filesystem::path& path, std::string_view key);

/// The number that a text begins with.
std::optional<double> number_in(const std::string& text);

/// {0, 1, 2, 8} from "0-2,8"; what cannot be read is left out.
std::vector<int> parse_cpu_list(const std::string& text);

/// Directories of this process's cgroup under `mount`, from the mount point down to its own: a limit may sit on any.
/// `controller` is "" for version 2.
std::vector<std::filesystem::path> cgroup_levels(const std::filesystem::path& root, const std::filesystem::path& mount,
                                                 std::string_view controller);

/// Bytes of the data or unified cache of a level (1, 2, 3) that processor 0 uses.
std::optional<int64_t> cache_bytes(int level, const std::filesystem::path& root = "/");

}  // namespace lra::harness
