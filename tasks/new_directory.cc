#include "tasks/new_directory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "engine/errors.h"
#include "engine/io/file.h"

namespace lra::tasks {
namespace fs = std::filesystem;

namespace {

/// Whether an empty directory must stay the one it is: others look at it, or it is another disk.
bool is_irreplaceable(const fs::path& directory) {
  std::error_code error;
  if (fs::equivalent(directory, fs::current_path(error), error)) return true;
  struct stat own {};
  struct stat parent {};
  return ::stat(directory.c_str(), &own) == 0 && ::stat(directory.parent_path().c_str(), &parent) == 0 &&
         own.st_dev != parent.st_dev;
}

}  // namespace

NewDirectory::NewDirectory(const fs::path& target) {
  std::error_code error;
  target_ = (fs::weakly_canonical(fs::absolute(target), error) / "").parent_path();
  if (error) io::throw_system_error("look at", target, error.value());
  if (fs::exists(target_, error)) {
    if (!fs::is_directory(target_, error) || !fs::is_empty(target_, error)) {
      throw UsageError(fmt::format("`{}` exists and is not an empty directory", target.string()),
                       "choose another --output, or remove what is there");
    }
    if (is_irreplaceable(target_)) {
      throw UsageError(
          fmt::format("`{}` is the working directory or a mount point, which cannot be replaced", target.string()),
          fmt::format("--output {}", (target / "images").string()));
    }
  }
  draft_ = target_.parent_path() / fmt::format(".{}.tmp", target_.filename().string());
  fs::remove_all(draft_, error);
  if (error) io::throw_system_error("remove", draft_, error.value());
  io::create_directories(draft_);
}

NewDirectory::~NewDirectory() {
  std::error_code error;
  if (!draft_.empty()) fs::remove_all(draft_, error);
}

void NewDirectory::write(const fs::path& name, std::span<const std::byte> bytes) const {
  const fs::path path = draft_ / name;
  io::create_directories(path.parent_path());
  const io::FileDescriptor fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
  if (!fd.valid()) io::throw_system_error("write", path, errno);
  io::write_all(fd, path, bytes);  // without syncing: that is done once for all files
}

void NewDirectory::publish() {
  const io::FileDescriptor fd(::open(draft_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid() || ::syncfs(fd.get()) != 0) io::throw_system_error("sync", draft_, errno);
  if (::rename(draft_.c_str(), target_.c_str()) != 0) io::throw_system_error("rename a directory to", target_, errno);
  draft_.clear();
  io::sync_directory(target_.parent_path());
}

}  // namespace lra::tasks
