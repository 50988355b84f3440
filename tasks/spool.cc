#include "tasks/spool.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <string>
#include <tuple>

#include "engine/errors.h"

namespace lra::tasks {
namespace {

constexpr size_t kBufferBytes = size_t{4} << 20;

/// An open file that has no name (any more).
io::FileDescriptor open_nameless(const std::filesystem::path& directory) {
  io::FileDescriptor fd(::open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (fd.valid()) return fd;
  std::string name = (directory / ".spool.XXXXXX").string();  // the file system has no O_TMPFILE
  fd = io::FileDescriptor(::mkostemp(name.data(), O_CLOEXEC));
  if (!fd.valid()) io::throw_system_error("write a temporary file in", directory, errno);
  ::unlink(name.c_str());
  return fd;
}

}  // namespace

Spool::Spool(const std::filesystem::path& directory) : directory_(directory) {
  io::create_directories(directory_);
  fd_ = open_nameless(directory_);
}

void Spool::add(SplitName split, uint64_t key, std::span<const uint8_t> bytes, int label) {
  LRA_CHECK(label >= 0 && label <= UINT8_MAX, "labels are one byte");
  entries_.push_back({key, file_bytes_ + buffer_.size(), bytes.size(), split, static_cast<uint8_t>(label)});
  buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
  if (buffer_.size() >= kBufferBytes) flush();
}

void Spool::flush() {
  for (std::span<const uint8_t> rest(buffer_); !rest.empty();) {
    const ssize_t count = ::pwrite(fd_.get(), rest.data(), rest.size(), static_cast<off_t>(file_bytes_));
    if (count < 0 && errno != EINTR) {
      io::throw_system_error("write a temporary file in", directory_, errno, file_bytes_ + rest.size());
    }
    const auto written = static_cast<size_t>(std::max<ssize_t>(count, 0));
    file_bytes_ += written;
    rest = rest.subspan(written);
  }
  buffer_.clear();
}

void Spool::renumber(const std::function<std::optional<Place>(uint64_t)>& place) {
  std::erase_if(entries_, [&](Entry& entry) {
    const std::optional<Place> found = place(entry.key);
    if (!found) return true;
    LRA_CHECK(found->label >= 0 && found->label <= UINT8_MAX, "labels are one byte");
    entry.key = found->key;
    entry.label = static_cast<uint8_t>(found->label);
    return false;
  });
}

void Spool::for_each(const std::function<void(SplitName, std::span<const uint8_t>, int)>& example) {
  flush();
  std::sort(entries_.begin(), entries_.end(),
            [](const Entry& a, const Entry& b) { return std::tie(a.split, a.key) < std::tie(b.split, b.key); });
  for (const Entry& entry : entries_) {
    buffer_.resize(entry.size);
    for (size_t at = 0; at < entry.size;) {
      const ssize_t count =
          ::pread(fd_.get(), buffer_.data() + at, entry.size - at, static_cast<off_t>(entry.begin + at));
      if (count == 0 || (count < 0 && errno != EINTR)) {
        io::throw_system_error("read a temporary file in", directory_, count == 0 ? EIO : errno);
      }
      at += static_cast<size_t>(std::max<ssize_t>(count, 0));
    }
    example(entry.split, buffer_, entry.label);
  }
  buffer_.clear();
}

void Spool::write_to(DatasetWriter& writer) {
  for_each([&](SplitName split, std::span<const uint8_t> bytes, int label) {
    writer.add_sequence(split, bytes);
    writer.add_label(split, label);
  });
}

}  // namespace lra::tasks
