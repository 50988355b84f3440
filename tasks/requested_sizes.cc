#include "tasks/requested_sizes.h"

#include <fmt/format.h>

#include "engine/errors.h"
#include "engine/io/file.h"

namespace lra::tasks {

void check_requested_sizes(const TaskFacts& facts, const SplitSizes& examples, int64_t least_bytes_per_example,
                           const std::filesystem::path& data_dir) {
  constexpr int64_t kMaxExamples = 10'000'000;  // of one split: far more than any published data have
  for (const SplitName name : kSplitNames) {
    if (examples[name] < 0 || examples[name] > kMaxExamples) {
      throw UsageError(fmt::format("--{} {} is not between 0 and {}", split_text(name), examples[name], kMaxExamples),
                       fmt::format("lra data generate {} --{} 2000", facts.name, split_text(name)));
    }
  }
  if (examples.total() == 0) {
    throw UsageError("all three splits are empty: nothing to generate", "give --train, --validation or --test");
  }
  const auto least_bytes = static_cast<uint64_t>(examples.total() * least_bytes_per_example);
  const uint64_t free_bytes = io::free_disk_bytes(data_dir);
  if (least_bytes > free_bytes) {
    throw ResourceError(fmt::format("{} examples take more than {} bytes; `{}` has {} free", examples.total(),
                                    least_bytes, data_dir.string(), free_bytes),
                        "ask for fewer examples, or choose a --data directory on another disk");
  }
}

}  // namespace lra::tasks
