#include "tasks/gzip_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <new>
#include <system_error>

#include "engine/errors.h"

namespace lra::tasks {
namespace {

constexpr size_t kInputBytes = size_t{256} << 10;
constexpr int kGzipWindowBits = 15 + 16;  // the largest window; 16: a gzip header and its checksum are expected

}  // namespace

void GzipFile::Deleter::operator()(z_stream_s* stream) const {
  ::inflateEnd(stream);
  delete stream;  // NOLINT(cppcoreguidelines-owning-memory): this is what owns it
}

GzipFile::GzipFile(const std::filesystem::path& path)
    : path_(path), fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)), input_(kInputBytes), inflate_(new z_stream_s{}) {
  if (!fd_.valid()) fail(std::generic_category().message(errno));
  if (::inflateInit2(inflate_.get(), kGzipWindowBits) != Z_OK) throw std::bad_alloc();
}

void GzipFile::fail(const std::string& what) const {
  throw DataError(fmt::format("`{}`: {} (after {} bytes of the file)", path_.string(), what, compressed_bytes_),
                  "get the file again and compare its size and checksum with those of its source");
}

void GzipFile::refill() {
  ssize_t count = 0;
  do {
    count = ::read(fd_.get(), input_.data(), input_.size());
  } while (count < 0 && errno == EINTR);
  if (count < 0) fail(std::generic_category().message(errno));
  is_input_at_end_ = count == 0;
  compressed_bytes_ += static_cast<uint64_t>(count);
  inflate_->next_in = input_.data();
  inflate_->avail_in = static_cast<unsigned>(count);
}

size_t GzipFile::read(std::span<std::byte> buffer) {
  if (buffer.empty()) return 0;
  const auto wanted = static_cast<unsigned>(std::min<size_t>(buffer.size(), std::numeric_limits<unsigned>::max()));
  inflate_->next_out = reinterpret_cast<unsigned char*>(buffer.data());
  inflate_->avail_out = wanted;
  while (inflate_->avail_out == wanted) {
    if (inflate_->avail_in == 0 && !is_input_at_end_) refill();
    if (inflate_->avail_in == 0) {
      if (is_between_members_ && expanded_bytes_ + compressed_bytes_ > 0) return 0;
      fail("the file is truncated");
    }
    is_between_members_ = false;
    const int status = ::inflate(inflate_.get(), Z_NO_FLUSH);
    if (status == Z_STREAM_END) {  // another member may follow
      is_between_members_ = true;
      ::inflateReset(inflate_.get());
    } else if (status != Z_OK && status != Z_BUF_ERROR) {
      fail(fmt::format("the gzip data are damaged: {}", inflate_->msg == nullptr ? "no detail" : inflate_->msg));
    }
  }
  const size_t count = wanted - inflate_->avail_out;
  expanded_bytes_ += count;
  return count;
}

}  // namespace lra::tasks
