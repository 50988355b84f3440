#include "tasks/spool.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <tuple>

#include "engine/errors.h"

namespace lra::tasks {
namespace {

namespace fs = std::filesystem;

constexpr size_t kBufferBytes = size_t{4} << 20;

/// An entry in the file: key, begin and size as 64 bits, split and label as 8, six bytes of zero.
constexpr size_t kEntryBytes = 32;
using EntryBytes = std::array<uint8_t, kEntryBytes>;
constexpr size_t kSplitAt = 24;
constexpr size_t kLabelAt = 25;
constexpr uint64_t kEntriesAtOnce = uint64_t{32} << 10;  // are read and written

io::FileDescriptor open_file(const fs::path& path, uint64_t kept_bytes) {
  io::FileDescriptor fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
  if (!fd.valid()) io::throw_system_error("write", path, errno);
  std::error_code error;
  const uint64_t bytes = fs::file_size(path, error);
  if (error || bytes < kept_bytes) {
    throw DataError(fmt::format("`{}` has {} bytes, of {}", path.string(), error ? 0 : bytes, kept_bytes),
                    "start the import again");
  }
  if (::ftruncate(fd.get(), static_cast<off_t>(kept_bytes)) != 0) io::throw_system_error("write", path, errno);
  if (::lseek(fd.get(), 0, SEEK_END) < 0) io::throw_system_error("write", path, errno);
  return fd;
}

void read_at(const io::FileDescriptor& fd, const fs::path& path, uint64_t begin, std::span<uint8_t> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::pread(fd.get(), bytes.data(), bytes.size(), static_cast<off_t>(begin));
    if (count == 0 || (count < 0 && errno != EINTR)) {
      io::throw_system_error("read", path, count == 0 ? EIO : errno);
    }
    const auto had = static_cast<size_t>(std::max<ssize_t>(count, 0));
    begin += had;
    bytes = bytes.subspan(had);
  }
}

void sync_data(const io::FileDescriptor& fd, const fs::path& path) {
  if (::fdatasync(fd.get()) != 0) io::throw_system_error("sync", path, errno);
}

}  // namespace

Spool::Spool(const fs::path& directory, const Extent& kept)
    : bytes_path_(directory / "examples"), entries_path_(directory / "entries") {
  io::create_directories(directory);
  bytes_fd_ = open_file(bytes_path_, kept.bytes);
  entries_fd_ = open_file(entries_path_, kept.examples * kEntryBytes);
  file_bytes_ = kept.bytes;
  load(kept);
}

/// The entries that are in the file.
void Spool::load(const Extent& kept) {
  std::vector<EntryBytes> stored;
  bool is_sound = true;
  for (uint64_t i = 0; i < kept.examples; i += stored.size()) {
    stored.resize(std::min(kEntriesAtOnce, kept.examples - i));
    read_at(entries_fd_, entries_path_, i * kEntryBytes, {stored.front().data(), stored.size() * kEntryBytes});
    entries_hash_.update(std::as_bytes(std::span(stored)));
    for (const EntryBytes& bytes : stored) {
      std::array<uint64_t, 3> numbers{};
      std::memcpy(numbers.data(), bytes.data(), sizeof(numbers));
      const auto& [key, begin, size] = numbers;
      is_sound &= bytes[kSplitAt] < kSplitNames.size() && size <= file_bytes_ && begin <= file_bytes_ - size;
      entries_.push_back({key, begin, size, static_cast<SplitName>(bytes[kSplitAt]), bytes[kLabelAt]});
    }
  }
  synced_entries_ = entries_.size();
  if (!is_sound || (kept.examples > 0 && io::Sha256(entries_hash_).hex_digest() != kept.entries_sha256)) {
    throw DataError(fmt::format("`{}` was altered", entries_path_.string()), "start the import again");
  }
}

void Spool::add(SplitName split, uint64_t key, std::span<const uint8_t> bytes, int label) {
  LRA_CHECK(label >= 0 && label <= UINT8_MAX, "labels are one byte");
  entries_.push_back({key, file_bytes_ + buffer_.size(), bytes.size(), split, static_cast<uint8_t>(label)});
  buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
  if (buffer_.size() >= kBufferBytes) flush();
}

void Spool::flush() {
  io::write_all(bytes_fd_, bytes_path_, std::as_bytes(std::span(buffer_)));
  file_bytes_ += buffer_.size();
  buffer_.clear();
}

Spool::Extent Spool::sync() {
  flush();
  std::vector<EntryBytes> stored;
  while (synced_entries_ < entries_.size()) {
    stored.clear();
    for (; synced_entries_ < entries_.size() && stored.size() < kEntriesAtOnce; ++synced_entries_) {
      const Entry& entry = entries_[synced_entries_];
      const std::array<uint64_t, 3> numbers{entry.key, entry.begin, entry.size};
      EntryBytes& bytes = stored.emplace_back();
      std::memcpy(bytes.data(), numbers.data(), sizeof(numbers));
      bytes[kSplitAt] = static_cast<uint8_t>(entry.split);
      bytes[kLabelAt] = entry.label;
    }
    io::write_all(entries_fd_, entries_path_, std::as_bytes(std::span(stored)));
    entries_hash_.update(std::as_bytes(std::span(stored)));
  }
  sync_data(bytes_fd_, bytes_path_);
  sync_data(entries_fd_, entries_path_);
  return {.bytes = file_bytes_, .examples = entries_.size(), .entries_sha256 = io::Sha256(entries_hash_).hex_digest()};
}

Spool::Example Spool::without_bytes(const Entry& entry) {
  return {.split = entry.split, .key = entry.key, .label = entry.label, .size = entry.size, .bytes = {}};
}

void Spool::renumber(const std::function<std::optional<Place>(const Example&)>& place) {
  std::erase_if(entries_, [&](Entry& entry) {
    const std::optional<Place> found = place(without_bytes(entry));
    if (!found) return true;
    LRA_CHECK(found->label >= 0 && found->label <= UINT8_MAX, "labels are one byte");
    entry.key = found->key;
    entry.label = static_cast<uint8_t>(found->label);
    return false;
  });
}

void Spool::for_each(const std::function<void(const Example&)>& example,
                     const std::function<bool(const Example&)>& is_wanted) {
  flush();
  std::sort(entries_.begin(), entries_.end(),
            [](const Entry& a, const Entry& b) { return std::tie(a.split, a.key) < std::tie(b.split, b.key); });
  std::vector<uint8_t> bytes;
  for (const Entry& entry : entries_) {
    Example wanted = without_bytes(entry);
    if (is_wanted && !is_wanted(wanted)) continue;
    bytes.resize(entry.size);
    read_at(bytes_fd_, bytes_path_, entry.begin, bytes);
    wanted.bytes = bytes;
    example(wanted);
  }
}

}  // namespace lra::tasks
