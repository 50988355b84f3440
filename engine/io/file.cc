#include "engine/io/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <limits>
#include <system_error>
#include <utility>

#include "engine/errors.h"

namespace lra::io {
namespace fs = std::filesystem;

namespace {

constexpr std::string_view kTemporaryMark = ".tmp-";

/// A single write(2) above 2 GiB is cut short by Linux; smaller pieces also let a signal through.
constexpr size_t kMaxWriteBytes = size_t{1} << 28;

fs::path parent_of(const fs::path& path) { return path.has_parent_path() ? path.parent_path() : fs::path("."); }

/// ".weights.npy.tmp-<pid>-<k>" beside `path`; k tells apart several writers of one process.
fs::path temporary_name(const fs::path& path) {
  static std::atomic<unsigned> counter{0};
  return parent_of(path) / fmt::format(".{}{}{}-{}", path.filename().string(), kTemporaryMark, ::getpid(), counter++);
}

FileDescriptor open_for_reading(const fs::path& path, struct stat& status) {
  FileDescriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid() || ::fstat(fd.get(), &status) != 0) {
    const int error_number = errno;
    throw DataError(fmt::format("cannot open `{}`: {}", path.string(), std::generic_category().message(error_number)),
                    error_number == ENOENT ? "check the path" : "check the permissions of the file");
  }
  if (!S_ISREG(status.st_mode)) {
    throw DataError(fmt::format("cannot read `{}`: it is {}, not a regular file", path.string(),
                                S_ISDIR(status.st_mode) ? "a directory" : "a device or pipe"),
                    "give the path of a file");
  }
  return fd;
}

/// fsync that goes on after a signal.
int sync_fully(int fd) {
  int result = 0;
  do {
    result = ::fsync(fd);
  } while (result != 0 && errno == EINTR);
  return result;
}

std::string hint_for(int error_number, const fs::path& path, uint64_t needed_bytes) {
  switch (error_number) {
    case ENOSPC:
    case EDQUOT: {
      const std::string needed = needed_bytes > 0 ? fmt::format("at least {} bytes are needed, ", needed_bytes) : "";
      return fmt::format("{}{} are free there; free some space or choose a directory on another disk", needed,
                         free_disk_bytes(path));
    }
    case EFBIG:
      return "the file system or `ulimit -f` does not allow a file of this size; choose another directory";
    case ENOTDIR:
      return "a part of the path is a file, not a directory; choose another path";
    case ENOENT:
      return fmt::format("create its directory first: mkdir -p '{}'", parent_of(path).string());
    case EACCES:
    case EPERM:
      return "you may not write there; choose another directory or change its permissions";
    case EROFS:
      return "the file system is mounted read-only; choose another directory";
    case EMFILE:
    case ENFILE:
      return "too many files are open; raise the limit with `ulimit -n`";
    default:
      return "check the disk and the path, or choose another directory";
  }
}

}  // namespace

FileDescriptor& FileDescriptor::operator=(FileDescriptor&& other) noexcept {
  if (this != &other) {
    if (valid()) ::close(fd_);
    fd_ = other.release();
  }
  return *this;
}

FileDescriptor::~FileDescriptor() {
  if (valid()) ::close(fd_);
}

int FileDescriptor::release() { return std::exchange(fd_, -1); }

void throw_system_error(std::string_view action, const fs::path& path, int error_number, uint64_t needed_bytes) {
  throw ResourceError(
      fmt::format("cannot {} `{}`: {}", action, path.string(), std::generic_category().message(error_number)),
      hint_for(error_number, path, needed_bytes));
}

AtomicFile::AtomicFile(fs::path path) : path_(std::move(path)) {
  std::error_code error;
  if (fs::is_symlink(path_, error)) {
    const fs::path target = fs::weakly_canonical(path_, error);
    if (!error) path_ = target;
  }
  const fs::file_status status = fs::status(path_, error);
  if (fs::is_directory(status)) {
    throw UsageError(fmt::format("cannot write `{}`: it is a directory", path_.string()), "give the name of a file");
  }
  if (fs::exists(status) && !fs::is_regular_file(status)) {
    fd_ = FileDescriptor(::open(path_.c_str(), O_WRONLY | O_CLOEXEC));
    if (!fd_.valid()) throw_system_error("open", path_, errno);
    return;
  }
  temporary_ = temporary_name(path_);
  fd_ = FileDescriptor(::open(temporary_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
  if (!fd_.valid()) {
    const int error_number = errno;
    temporary_.clear();  // not ours: nothing to remove
    throw_system_error("write", path_, error_number);
  }
  ::flock(fd_.get(), LOCK_EX | LOCK_NB);  // tells remove_stale_temporaries that the writer lives; may be unsupported
}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : path_(std::move(other.path_)),
      temporary_(std::exchange(other.temporary_, fs::path())),
      fd_(std::move(other.fd_)),
      written_bytes_(other.written_bytes_) {}

AtomicFile::~AtomicFile() { discard(); }

void AtomicFile::discard() noexcept {
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
  temporary_.clear();
  fd_ = FileDescriptor();
}

void write_all(const FileDescriptor& file, const std::filesystem::path& path, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(file.get(), bytes.data(), std::min(bytes.size(), kMaxWriteBytes));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw_system_error("write", path, errno, bytes.size());
    bytes = bytes.subspan(static_cast<size_t>(count));
  }
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  LRA_CHECK(fd_.valid(), fmt::format("write to `{}` after it was committed or discarded", path_.string()));
  const uint64_t needed_bytes = written_bytes_ + bytes.size();
  while (!bytes.empty()) {
    const ssize_t count = ::write(fd_.get(), bytes.data(), std::min(bytes.size(), kMaxWriteBytes));
    if (count < 0) {
      if (errno == EINTR) continue;
      const int error_number = errno;
      discard();  // first, so that the hint tells the space that is free without the partial file
      throw_system_error("write", path_, error_number, needed_bytes);
    }
    written_bytes_ += static_cast<uint64_t>(count);
    bytes = bytes.subspan(static_cast<size_t>(count));
  }
}

void AtomicFile::write_at(uint64_t offset_bytes, std::span<const std::byte> bytes) {
  LRA_CHECK(offset_bytes + bytes.size() <= written_bytes_, "write_at only overwrites what was written");
  while (!bytes.empty()) {
    const ssize_t count = ::pwrite(fd_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset_bytes));
    if (count < 0) {
      if (errno == EINTR) continue;
      const int error_number = errno;
      discard();
      throw_system_error("write", path_, error_number, written_bytes_);
    }
    offset_bytes += static_cast<uint64_t>(count);
    bytes = bytes.subspan(static_cast<size_t>(count));
  }
}

void AtomicFile::commit() {
  LRA_CHECK(fd_.valid(), fmt::format("`{}` was committed or discarded before", path_.string()));
  if (temporary_.empty()) {  // a device or a pipe: nothing to sync, nothing to rename
    fd_ = FileDescriptor();
    return;
  }
  if (sync_fully(fd_.get()) != 0 || ::rename(temporary_.c_str(), path_.c_str()) != 0) {
    const int error_number = errno;
    discard();
    throw_system_error("write", path_, error_number, written_bytes_);
  }
  temporary_.clear();
  fd_ = FileDescriptor();
  sync_directory(parent_of(path_));
}

void write_file_atomically(const fs::path& path, std::string_view text) {
  write_file_atomically(path, std::as_bytes(std::span(text.data(), text.size())));
}

void write_file_atomically(const fs::path& path, std::span<const std::byte> bytes) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

int remove_stale_temporaries(const fs::path& directory) {
  int removed = 0;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(directory, error)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with('.') || name.find(kTemporaryMark) == std::string::npos) continue;
    if (!entry.is_regular_file(error)) continue;
    const FileDescriptor fd(::open(entry.path().c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (!fd.valid() || ::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) continue;
    if (::unlink(entry.path().c_str()) == 0) ++removed;
  }
  return removed;
}

std::string read_text_file(const fs::path& path, uint64_t max_bytes) {
  struct stat status {};
  const FileDescriptor fd = open_for_reading(path, status);
  std::string text;
  while (true) {  // not by st_size: files of /proc say 0
    const size_t at = text.size();
    constexpr size_t kChunkBytes = size_t{1} << 16;
    text.resize(at + kChunkBytes);
    const ssize_t count = ::read(fd.get(), text.data() + at, kChunkBytes);
    text.resize(at + static_cast<size_t>(std::max<ssize_t>(count, 0)));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      throw DataError(fmt::format("cannot read `{}`: {}", path.string(), std::generic_category().message(errno)),
                      "check the disk");
    }
    if (count == 0) return text;
    if (text.size() > max_bytes) {
      throw DataError(fmt::format("`{}` is larger than the {} bytes allowed here", path.string(), max_bytes),
                      "check that this is the intended file");
    }
  }
}

MappedFile::MappedFile(const fs::path& path) : path_(path) {
  struct stat status {};
  const FileDescriptor fd = open_for_reading(path, status);
  if (status.st_size == 0) return;  // mmap refuses a length of 0
  const size_t size = static_cast<size_t>(status.st_size);
  void* address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd.get(), 0);
  if (address == MAP_FAILED) throw_system_error("map", path, errno, size);
  bytes_ = {static_cast<const std::byte*>(address), size};
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)), bytes_(std::exchange(other.bytes_, {})) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

std::string_view MappedFile::text() const { return {reinterpret_cast<const char*>(bytes_.data()), bytes_.size()}; }

void create_directories(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) throw_system_error("create the directory", path, error.value());
  if (!fs::is_directory(path, error)) throw_system_error("create the directory", path, ENOTDIR);
}

void sync_directory(const fs::path& path) {
  const FileDescriptor fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) throw_system_error("open the directory", path, errno);
  // Some network file systems cannot sync a directory and say EINVAL: the rename has happened all the same.
  if (sync_fully(fd.get()) != 0 && errno != EINVAL) throw_system_error("sync the directory", path, errno);
}

uint64_t free_disk_bytes(const fs::path& path) {
  std::error_code error;
  fs::path place = fs::absolute(path, error);
  while (!fs::exists(place, error) && place.has_relative_path()) place = place.parent_path();
  struct statvfs status {};
  if (::statvfs(place.c_str(), &status) != 0) return std::numeric_limits<uint64_t>::max();
  return uint64_t{status.f_bavail} * status.f_frsize;
}

}  // namespace lra::io
