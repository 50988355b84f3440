#include "engine/io/directory_lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>

#include "engine/errors.h"

namespace lra::io {
namespace {

/// The process id that the owner wrote, or "unknown" (it may not have come to write it yet).
std::string owner_of(int fd) {
  std::array<char, 32> text{};
  const ssize_t count = ::pread(fd, text.data(), text.size(), 0);
  std::string owner(text.data(), static_cast<size_t>(std::max<ssize_t>(count, 0)));
  while (!owner.empty() && owner.back() == '\n') owner.pop_back();
  const bool is_number = !owner.empty() && owner.find_first_not_of("0123456789") == std::string::npos;
  return is_number ? owner : "unknown";
}

}  // namespace

DirectoryLock::DirectoryLock(const std::filesystem::path& directory, std::string_view what, std::string_view name) {
  const std::filesystem::path path = directory / name;
  fd_ = FileDescriptor(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
  if (!fd_.valid()) throw_system_error("lock", path, errno);
  int result = 0;
  do {
    result = ::flock(fd_.get(), LOCK_EX | LOCK_NB);
  } while (result != 0 && errno == EINTR);
  if (result != 0 && errno == EWOULDBLOCK) {
    throw ResourceError(fmt::format("{} in `{}` is in use by another process (process id {})", what, directory.string(),
                                    owner_of(fd_.get())),
                        "wait until that process ends, or choose another directory");
  }
  if (result != 0) throw_system_error("lock", path, errno);
  const std::string owner = fmt::format("{}\n", ::getpid());
  if (::ftruncate(fd_.get(), 0) != 0 || ::pwrite(fd_.get(), owner.data(), owner.size(), 0) < 0) {
    throw_system_error("write", path, errno, owner.size());
  }
}

}  // namespace lra::io
