#include "tasks/archive_file.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <new>
#include <string_view>
#include <utility>

#include "engine/errors.h"

namespace lra::tasks {
namespace {

constexpr size_t kBlockBytes = size_t{256} << 10;
constexpr size_t kMaxPathBytes = 4096;

/// Data of the benchmark shrink to a third or a tenth; what shrinks more than this is made to fill a disk or a day.
constexpr uint64_t kMaxExpansion = 250;
constexpr uint64_t kUncheckedBytes = uint64_t{64} << 20;

constexpr std::string_view kGzipMagic = "\x1f\x8b";
constexpr size_t kTarMagicOffset = 257;

bool is_safe_path(std::string_view path) {
  if (path.empty() || path.size() > kMaxPathBytes || path.front() == '/') return false;
  while (!path.empty()) {
    const size_t slash = std::min(path.find('/'), path.size());
    if (path.substr(0, slash) == "..") return false;
    path.remove_prefix(std::min(slash + 1, path.size()));
  }
  return true;
}

}  // namespace

std::string first_bytes(const std::filesystem::path& path) {
  std::string bytes(512, '\0');
  const io::FileDescriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  const ssize_t count = fd.valid() ? ::read(fd.get(), bytes.data(), bytes.size()) : 0;
  bytes.resize(static_cast<size_t>(std::max<ssize_t>(count, 0)));
  return bytes;
}

bool is_archive(const std::filesystem::path& path) {
  using namespace std::string_view_literals;
  const std::string bytes = first_bytes(path);
  for (const std::string_view magic : {kGzipMagic,
                                       "\xfd"
                                       "7zXZ\0"sv,
                                       "BZh"sv, "\x28\xb5\x2f\xfd"sv, "PK\x03\x04"sv, "PK\x05\x06"sv}) {
    if (bytes.starts_with(magic)) return true;
  }
  return bytes.size() > kTarMagicOffset && std::string_view(bytes).substr(kTarMagicOffset).starts_with("ustar");
}

void ArchiveFile::Deleter::operator()(archive* handle) const { ::archive_read_free(handle); }

ArchiveFile::ArchiveFile(const std::filesystem::path& path, const ArchivePosition& from) : path_(path) {
  if (from.in_gzip) {
    enter(from);
    return;
  }
  if (first_bytes(path_).starts_with(kGzipMagic)) gzip_ = std::make_unique<GzipFile>(path_);
  open();
  for (uint64_t i = 0; i < from.members; ++i) {
    if (!next()) fail("it ends before the place where an earlier reading was");
  }
  std::vector<std::byte> passed(kBlockBytes);
  for (uint64_t left_bytes = from.member_bytes; left_bytes > 0;) {
    const size_t count =
        read(std::span(passed).first(static_cast<size_t>(std::min<uint64_t>(left_bytes, kBlockBytes))));
    if (count == 0) fail("a member ends before the place where an earlier reading was");
    left_bytes -= count;
  }
}

/// Has libarchive read from where the gzip file is, or another file from its start.
void ArchiveFile::open() {
  handle_.reset(::archive_read_new());
  if (!handle_) throw std::bad_alloc();
  archive* const handle = handle_.get();
  ::archive_read_support_format_tar(handle);
  if (gzip_) {
    libarchive_begin_ = gzip_->expanded_bytes() - waiting_bytes_;
    piece_.resize(kBlockBytes);
    check(::archive_read_open(handle, this, nullptr, &ArchiveFile::feed, nullptr));
    return;
  }
  ::archive_read_support_format_zip(handle);
  ::archive_read_support_filter_xz(handle);
  ::archive_read_support_filter_bzip2(handle);
  ::archive_read_support_filter_zstd(handle);
  check(::archive_read_open_filename(handle, path_.c_str(), kBlockBytes));
}

/// Into the middle of a member; libarchive begins after it.
void ArchiveFile::enter(const ArchivePosition& position) {
  in_gzip_ = position.in_gzip;
  if (position.member_bytes > in_gzip_->data_bytes) fail("a member ends before the place where an earlier reading was");
  gzip_ = std::make_unique<GzipFile>(path_, in_gzip_->point);
  gzip_->skip_to(in_gzip_->data_begin + position.member_bytes);
  members_ = position.members;
  is_in_member_ = true;
  entered_end_ = in_gzip_->data_begin + in_gzip_->data_bytes;
}

/// Goes to the header after the member that was entered. False when the file ends there.
bool ArchiveFile::leave_entered() {
  constexpr uint64_t kTarBlockBytes = 512;
  const uint64_t begin = in_gzip_->data_begin;
  gzip_->skip_to(begin + (entered_end_ - begin + kTarBlockBytes - 1) / kTarBlockBytes * kTarBlockBytes);
  entered_end_ = 0;
  piece_.resize(kBlockBytes);
  waiting_bytes_ = gzip_->read(piece_);
  if (waiting_bytes_ == 0) return false;
  open();
  return true;
}

/// Called by libarchive, through which no exception may pass.
long ArchiveFile::feed(archive* handle, void* self, const void** piece) {  // NOLINT(google-runtime-int)
  auto& file = *static_cast<ArchiveFile*>(self);
  try {
    const size_t waiting = std::exchange(file.waiting_bytes_, 0);
    const size_t count = waiting > 0 ? waiting : file.gzip_->read(file.piece_);
    file.check_expansion();
    *piece = file.piece_.data();
    return static_cast<long>(count);  // NOLINT(google-runtime-int)
  } catch (...) {
    file.feeding_failure_ = std::current_exception();
    ::archive_set_error(handle, EIO, "the compressed data cannot be read");
    return ARCHIVE_FATAL;
  }
}

void ArchiveFile::fail(const std::string& what) const {
  throw DataError(fmt::format("`{}`: {}", path_.string(), what),
                  "get the archive again and compare its size and checksum with those of its source");
}

void ArchiveFile::check(int status) const {
  if (feeding_failure_) std::rethrow_exception(feeding_failure_);
  if (status == ARCHIVE_OK || status == ARCHIVE_WARN || status == ARCHIVE_EOF) return;
  const char* const detail = ::archive_error_string(handle_.get());
  const std::string place = member_.path.empty() ? "" : fmt::format(" (in or after `{}`)", printable(member_.path));
  fail(fmt::format("not an archive that can be read: {}{}", detail == nullptr ? "no detail" : detail, place));
}

uint64_t ArchiveFile::position_bytes() const {
  if (gzip_) return gzip_->compressed_bytes();
  return static_cast<uint64_t>(std::max<int64_t>(::archive_filter_bytes(handle_.get(), -1), 0));
}

ArchivePosition ArchiveFile::position(uint64_t member_bytes) const {
  ArchivePosition position{.members = members_, .member_bytes = member_bytes, .in_gzip = in_gzip_};
  if (in_gzip_) position.in_gzip->point = gzip_->point_before(in_gzip_->data_begin + member_bytes);
  return position;
}

void ArchiveFile::check_expansion() const {
  const auto filtered_bytes = [&] {
    return static_cast<uint64_t>(std::max<int64_t>(::archive_filter_bytes(handle_.get(), 0), 0));
  };
  const uint64_t expanded_bytes = gzip_ ? gzip_->expanded_bytes() : std::max(filtered_bytes(), read_bytes_);
  if (expanded_bytes < kUncheckedBytes || expanded_bytes / kMaxExpansion < position_bytes()) return;
  fail(fmt::format("{} bytes of it expand to more than {} bytes, as no data set does", position_bytes(),
                   expanded_bytes));
}

bool ArchiveFile::next() {
  // Members that nobody reads are read here all the same: skipping would run through a bomb without a look at it.
  std::array<std::byte, 4096> rest;
  const bool is_seekable = !gzip_ && ::archive_filter_count(handle_.get()) == 1;
  while (is_in_member_ && !is_seekable && read(rest) > 0) {
  }
  if (entered_end_ > 0 && !leave_entered()) return is_in_member_ = false;
  archive_entry* entry = nullptr;
  int status = ARCHIVE_RETRY;
  for (int tries = 0; status == ARCHIVE_RETRY && tries < 100; ++tries) {
    status = ::archive_read_next_header(handle_.get(), &entry);
  }
  check(status);
  check_expansion();
  is_in_member_ = status != ARCHIVE_EOF;
  in_gzip_.reset();
  if (!is_in_member_) {
    while (gzip_ && gzip_->read(piece_) > 0) check_expansion();  // the checksum is at the end
    return false;
  }
  const char* name = ::archive_entry_pathname_utf8(entry);
  if (name == nullptr) name = ::archive_entry_pathname(entry);
  member_.path = name == nullptr ? "" : name;
  while (member_.path.starts_with("./")) member_.path.erase(0, 2);
  member_.is_safe = is_safe_path(member_.path);
  member_.is_regular = ::archive_entry_filetype(entry) == AE_IFREG && ::archive_entry_hardlink(entry) == nullptr;
  ++members_;
  if (gzip_ && member_.is_regular && ::archive_entry_size_is_set(entry) != 0 &&
      ::archive_entry_sparse_count(entry) == 0) {
    in_gzip_ = {.data_begin = libarchive_begin_ + static_cast<uint64_t>(::archive_filter_bytes(handle_.get(), 0)),
                .data_bytes = static_cast<uint64_t>(::archive_entry_size(entry)),
                .point = {}};
  }
  return true;
}

size_t ArchiveFile::read(std::span<std::byte> buffer) {
  if (entered_end_ > 0) {
    const uint64_t left_bytes = entered_end_ - gzip_->expanded_bytes();
    buffer = buffer.first(static_cast<size_t>(std::min<uint64_t>(buffer.size(), left_bytes)));
    const size_t count = gzip_->read(buffer);
    if (count == 0 && !buffer.empty()) fail("it is truncated");
    check_expansion();
    return count;
  }
  const auto count = ::archive_read_data(handle_.get(), buffer.data(), buffer.size());
  if (count < 0) check(ARCHIVE_FATAL);  // also what libarchive calls a warning: a wrong checksum in a zip file
  read_bytes_ += static_cast<uint64_t>(count);
  check_expansion();
  return static_cast<size_t>(count);
}

}  // namespace lra::tasks
