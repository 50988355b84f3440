// Where prepared datasets lie.
#pragma once

#include <filesystem>
#include <string>

namespace lra::tasks {

/// The data directory: `flag` (the value of --data) when not empty, else $LRA_DATA, else $XDG_CACHE_HOME/lra, else
/// ~/.cache/lra. Empty variables count as unset. Throws: UsageError when nothing of these is set.
std::filesystem::path data_directory(const std::string& flag);

/// A path as a shell takes it: quoted if it has to be. For hints that can be pasted.
std::string shell_quoted(const std::filesystem::path& path);

}  // namespace lra::tasks
