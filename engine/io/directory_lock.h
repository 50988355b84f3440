// An advisory lock on a directory: one writer at a time, released by the kernel when its process ends in any way.
#pragma once

#include <filesystem>
#include <string_view>

#include "engine/io/file.h"

namespace lra::io {

/// Holds an exclusive flock on `directory/name` from construction to destruction. The file stays (removing it would
/// race with the next owner); it names the owner's process, for the message that others get.
class DirectoryLock {
 public:
  /// `what` is named in the message: "the dataset `listops`". Throws: ResourceError when another process (or another
  /// object of this one) holds the lock, or when the directory is not writable.
  explicit DirectoryLock(const std::filesystem::path& directory, std::string_view what,
                         std::string_view name = ".lock");

 private:
  FileDescriptor fd_;
};

}  // namespace lra::io
