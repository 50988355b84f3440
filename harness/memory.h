// How much memory this process may still take.
#pragma once

#include <cstdint>

namespace lra::harness {

/// The smaller of the system's available memory and what the process's cgroup has left, in bytes.
int64_t available_memory_bytes();

/// Parses "512M", "4G", "100000" (binary units). Throws UsageError.
int64_t parse_bytes(const char* text);

}  // namespace lra::harness
