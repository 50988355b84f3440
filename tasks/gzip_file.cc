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
#include <utility>

#include "engine/errors.h"

namespace lra::tasks {
namespace {

constexpr size_t kInputBytes = size_t{256} << 10;
constexpr int kGzipWindowBits = 15 + 16;  // the largest window; 16: a gzip header and its checksum are expected
constexpr int kRawWindowBits = -15;       // the largest window, and nothing around the blocks
constexpr size_t kWindowBytes = size_t{32} << 10;
constexpr uint64_t kBytesBetweenPoints = uint64_t{4} << 20;  // more than anyone reads ahead
constexpr size_t kTrailerBytes = 8;                          // checksum and size, little-endian

constexpr int kLastBits = 7;        // of z_stream.data_type: bits of the last byte that are not used yet
constexpr int kIsInLastBlock = 64;  // no block follows
constexpr int kIsAtBlockEnd = 128;

}  // namespace

void GzipFile::Deleter::operator()(z_stream_s* stream) const {
  ::inflateEnd(stream);
  delete stream;  // NOLINT(cppcoreguidelines-owning-memory): this is what owns it
}

GzipFile::GzipFile(const std::filesystem::path& path, const std::optional<GzipPoint>& from)
    : path_(path), fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)), input_(kInputBytes), inflate_(new z_stream_s{}) {
  if (!fd_.valid()) fail(std::generic_category().message(errno));
  if (::inflateInit2(inflate_.get(), from ? kRawWindowBits : kGzipWindowBits) != Z_OK) throw std::bad_alloc();
  if (from) enter(*from);
}

void GzipFile::enter(const GzipPoint& point) {
  const uint64_t shared_byte = point.shared_bits > 0 ? 1 : 0;
  if (point.shared_bits < 0 || point.shared_bits > kLastBits || point.window.size() > kWindowBytes ||
      point.compressed_bytes < shared_byte) {
    fail("cannot be entered in the middle as an earlier reading told");
  }
  compressed_bytes_ = point.compressed_bytes - shared_byte;
  if (::lseek(fd_.get(), static_cast<off_t>(compressed_bytes_), SEEK_SET) < 0) {
    fail(std::generic_category().message(errno));
  }
  if (point.shared_bits > 0) {
    refill();
    if (inflate_->avail_in == 0) fail("the file is truncated");
    ::inflatePrime(inflate_.get(), point.shared_bits, *inflate_->next_in >> (8 - point.shared_bits));
    ++inflate_->next_in;
    --inflate_->avail_in;
  }
  ::inflateSetDictionary(inflate_.get(), reinterpret_cast<const unsigned char*>(point.window.data()),
                         static_cast<unsigned>(point.window.size()));
  is_between_members_ = false;
  is_entered_ = true;
  member_bytes_ = point.member_bytes;
  member_crc_ = point.member_crc;
  expanded_bytes_ = point.expanded_bytes;
  points_.back() = point;
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

/// At the end of the blocks: compares the checksum, unless zlib has, and expects another member.
void GzipFile::finish_member() {
  if (is_entered_) {
    std::array<uint8_t, kTrailerBytes> trailer{};
    for (uint8_t& byte : trailer) {
      if (inflate_->avail_in == 0) refill();
      if (inflate_->avail_in == 0) fail("the file is truncated");
      byte = *inflate_->next_in++;
      --inflate_->avail_in;
    }
    const auto number_at = [&](size_t at) {
      uint32_t number = 0;
      for (size_t i = 4; i-- > 0;) number = number << 8U | trailer[at + i];
      return number;
    };
    if (number_at(0) != member_crc_) fail("the gzip data are damaged: incorrect data check");
    if (number_at(4) != static_cast<uint32_t>(member_bytes_)) fail("the gzip data are damaged: incorrect length check");
    is_entered_ = false;
  }
  is_between_members_ = true;
  member_bytes_ = 0;
  if (::inflateReset2(inflate_.get(), kGzipWindowBits) != Z_OK) throw std::bad_alloc();
}

/// Between two blocks of a member.
void GzipFile::keep_point() {
  GzipPoint point{.compressed_bytes = compressed_bytes_ - inflate_->avail_in,
                  .shared_bits = inflate_->data_type & kLastBits,
                  .expanded_bytes = expanded_bytes_,
                  .member_bytes = member_bytes_,
                  .member_crc = is_entered_ ? member_crc_ : static_cast<uint32_t>(inflate_->adler),
                  .window = std::string(kWindowBytes, '\0')};
  unsigned window_bytes = 0;
  ::inflateGetDictionary(inflate_.get(), reinterpret_cast<unsigned char*>(point.window.data()), &window_bytes);
  point.window.resize(window_bytes);
  points_.front() = std::exchange(points_.back(), std::move(point));
}

std::optional<GzipPoint> GzipFile::point_before(uint64_t expanded_bytes) const {
  for (const auto& point : {points_.back(), points_.front()}) {
    if (point && point->expanded_bytes <= expanded_bytes) return point;
  }
  return std::nullopt;
}

void GzipFile::skip_to(uint64_t expanded_bytes) {
  std::vector<std::byte> piece(kInputBytes);
  while (expanded_bytes_ < expanded_bytes) {
    const uint64_t left_bytes = expanded_bytes - expanded_bytes_;
    if (read(std::span(piece).first(static_cast<size_t>(std::min<uint64_t>(left_bytes, piece.size())))) == 0) {
      fail("the file ends before the place where an earlier reading was");
    }
  }
}

size_t GzipFile::read(std::span<std::byte> buffer) {
  const auto wanted = static_cast<unsigned>(std::min<size_t>(buffer.size(), std::numeric_limits<unsigned>::max()));
  inflate_->next_out = reinterpret_cast<unsigned char*>(buffer.data());
  inflate_->avail_out = wanted;
  const uint64_t before_bytes = expanded_bytes_;
  while (inflate_->avail_out > 0) {
    if (inflate_->avail_in == 0 && !is_input_at_end_) {
      if (inflate_->avail_out < wanted) break;  // what there is now, before the file is waited for
      refill();
    }
    if (inflate_->avail_in == 0) {
      if (is_between_members_ && expanded_bytes_ + compressed_bytes_ > 0) break;
      fail("the file is truncated");
    }
    is_between_members_ = false;
    const unsigned char* const out = inflate_->next_out;
    const int status = ::inflate(inflate_.get(), Z_BLOCK);
    const auto made = static_cast<unsigned>(inflate_->next_out - out);
    expanded_bytes_ += made;
    member_bytes_ += made;
    if (is_entered_) member_crc_ = static_cast<uint32_t>(::crc32(member_crc_, out, made));
    if (status == Z_STREAM_END) {
      finish_member();  // another one may follow
    } else if (status != Z_OK && status != Z_BUF_ERROR) {
      fail(fmt::format("the gzip data are damaged: {}", inflate_->msg == nullptr ? "no detail" : inflate_->msg));
    } else if (const int place = inflate_->data_type; (place & kIsAtBlockEnd) != 0 && (place & kIsInLastBlock) == 0) {
      const uint64_t last_bytes = points_.back() ? points_.back()->expanded_bytes : 0;
      if (expanded_bytes_ - last_bytes >= kBytesBetweenPoints) keep_point();
    }
  }
  return static_cast<size_t>(expanded_bytes_ - before_bytes);
}

}  // namespace lra::tasks
