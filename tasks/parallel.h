// A loop over independent items on several threads.
#pragma once

#include <cstdint>
#include <functional>

namespace lra::tasks {

/// `requested` threads, or one per processor that this process may use when it is 0.
/// Throws: UsageError for a negative or absurd number.
int resolve_threads(int requested);

/// Calls body(i) once for each i in [0, count), in any order, on up to `threads` threads; returns when all are done.
/// The first exception stops the handing out of items and is thrown here.
void parallel_for(int64_t count, int threads, const std::function<void(int64_t)>& body);

}  // namespace lra::tasks
