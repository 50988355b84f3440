// Memory bandwidth as programs see it: a triad on all workers at once.
#pragma once

#include <cstdint>
#include <filesystem>

#include "engine/lanes.h"

namespace lra::harness {

/// Bytes of each of a worker's three arrays: four times the L2 cache, or what makes all arrays together half again as
/// large as the last-level cache where that is more, up to 64 MiB (larger caches are shared with other machines).
/// Halved until all arrays fit in half of `available_bytes`; 0 when less than four times the L2 cache would be left.
int64_t triad_array_bytes(int threads, int64_t available_bytes, const std::filesystem::path& root = "/");

/// GB/s (1e9 bytes a second) of a = b + s c over arrays of `array_bytes`, all workers at once for at least
/// `min_time_s`, when nothing interrupts them: the median over chunks. Two reads and one write an element, as STREAM
/// counts (McCalpin 1995). Arrays hold 64 Ki elements at least and are made by their worker.
/// Throws ResourceError.
double measure_triad_gb_per_s(engine::Workers& workers, int64_t array_bytes, double min_time_s);

}  // namespace lra::harness
