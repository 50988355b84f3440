// A look at how many examples are asked for, before any work.
#pragma once

#include <cstdint>
#include <filesystem>

#include "tasks/task.h"

namespace lra::tasks {

/// Refuses numbers of examples to generate that cannot be meant, or for which the disk has no room.
/// Throws: UsageError; ResourceError.
void check_requested_sizes(const TaskFacts& facts, const SplitSizes& examples, int64_t least_bytes_per_example,
                           const std::filesystem::path& data_dir);

}  // namespace lra::tasks
