// Files: reading, read-only mapping, and writing that leaves either the whole new file or the earlier one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace lra::io {

/// Owns a POSIX file descriptor and closes it.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(other.release()) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept;
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  ~FileDescriptor();

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  int release();

 private:
  int fd_ = -1;
};

/// Throws ResourceError "cannot <action> `<path>`: <text of error_number>" with a hint that fits the error.
/// `needed_bytes` is what the file would have taken; it is named when the disk is full.
[[noreturn]] void throw_system_error(std::string_view action, const std::filesystem::path& path, int error_number,
                                     uint64_t needed_bytes = 0);

/// Writes all of `bytes` at the position of an open file; retries interrupted and short writes. `path` is for messages.
/// Throws: ResourceError, when a part may have been written.
void write_all(const FileDescriptor& file, const std::filesystem::path& path, std::span<const std::byte> bytes);

/// A file that appears under its name only when it is complete: bytes go to a temporary name in the same directory;
/// commit() syncs, renames and syncs the directory. Without commit() the destructor removes the temporary.
///
/// A symbolic link is followed, so that its target is replaced and not the link. Devices and pipes (`/dev/null`,
/// `/dev/stdout`) cannot be replaced by renaming; they are written directly.
class AtomicFile {
 public:
  /// Throws: ResourceError when the temporary cannot be created, UsageError when `path` is a directory.
  explicit AtomicFile(std::filesystem::path path);
  AtomicFile(AtomicFile&& other) noexcept;
  AtomicFile& operator=(AtomicFile&&) = delete;
  ~AtomicFile();

  /// Appends all of `bytes`; retries interrupted and short writes. Throws: ResourceError.
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text) { write(std::as_bytes(std::span(text.data(), text.size()))); }

  /// Overwrites bytes that were written before (a header whose numbers are known only at the end).
  void write_at(uint64_t offset_bytes, std::span<const std::byte> bytes);

  /// Makes the file durable under its name. Throws: ResourceError, and then the earlier file is untouched.
  void commit();

  const std::filesystem::path& path() const { return path_; }
  uint64_t written_bytes() const { return written_bytes_; }

 private:
  void discard() noexcept;

  std::filesystem::path path_;
  std::filesystem::path temporary_;  // empty when `path_` is a device or a pipe
  FileDescriptor fd_;
  uint64_t written_bytes_ = 0;
};

/// Writes a whole file as AtomicFile does.
void write_file_atomically(const std::filesystem::path& path, std::string_view text);
void write_file_atomically(const std::filesystem::path& path, std::span<const std::byte> bytes);

/// Removes the temporaries that killed processes left in `directory`; those of living writers are kept (they hold a
/// lock on theirs). Call it while holding the directory's DirectoryLock. Returns how many were removed.
int remove_stale_temporaries(const std::filesystem::path& directory);

/// The content of a text file. Throws: DataError when it is missing, unreadable or larger than `max_bytes`.
std::string read_text_file(const std::filesystem::path& path, uint64_t max_bytes = uint64_t{256} << 20);

/// A regular file mapped read-only; an empty file is an empty span. Throws: DataError when it cannot be opened.
class MappedFile {
 public:
  MappedFile() = default;
  explicit MappedFile(const std::filesystem::path& path);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  const std::filesystem::path& path() const { return path_; }
  std::span<const std::byte> bytes() const { return bytes_; }
  std::string_view text() const;

 private:
  std::filesystem::path path_;
  std::span<const std::byte> bytes_;
};

/// Creates `path` and its parents; an existing directory is fine. Throws: ResourceError.
void create_directories(const std::filesystem::path& path);

/// Syncs a directory, so that names created or renamed in it survive a power cut. Throws: ResourceError.
void sync_directory(const std::filesystem::path& path);

/// Free bytes for this user on the file system of `path` (or of its nearest existing parent); UINT64_MAX if unknown.
uint64_t free_disk_bytes(const std::filesystem::path& path);

}  // namespace lra::io
