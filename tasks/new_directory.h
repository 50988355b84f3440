// A directory of many files that appears complete, or not at all.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

namespace lra::tasks {

/// Files go to a hidden directory beside the target, which is synced and renamed at publish(). Without that it is
/// removed; what a killed process left is removed by the next one that writes to the same target.
class NewDirectory {
 public:
  /// Throws: UsageError when `target` is there already and is not an empty directory, or one that cannot be replaced
  /// (the working directory, a mount point); ResourceError.
  explicit NewDirectory(const std::filesystem::path& target);
  NewDirectory(const NewDirectory&) = delete;
  NewDirectory& operator=(const NewDirectory&) = delete;
  ~NewDirectory();

  /// Writes one file; `name` may have folders in it. Throws: ResourceError.
  void write(const std::filesystem::path& name, std::span<const std::byte> bytes) const;

  /// Throws: ResourceError.
  void publish();

 private:
  std::filesystem::path target_;
  std::filesystem::path draft_;  // empty once it is published
};

}  // namespace lra::tasks
