// A gzip file as the bytes it holds. libarchive's own filter skips the checksum at the end, and cannot be entered in
// the middle; this one compares it, and can.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/io/file.h"
#include "tasks/byte_stream.h"

struct z_stream_s;  // of zlib, whose header stays in gzip_file.cc

namespace lra::tasks {

/// A place between two blocks of the compression, and all that reading needs to go on there. (RFC 1951: a block refers
/// to at most 32 KiB before it, and begins at any bit.)
struct GzipPoint {
  uint64_t compressed_bytes = 0;  // of the file before it, a byte that it shares with the block before included
  int shared_bits = 0;            // of that byte that belong to what follows
  uint64_t expanded_bytes = 0;    // what the file has made so far
  uint64_t member_bytes = 0;      // of this, what the gzip member has made that it is in …
  uint32_t member_crc = 0;        // … and the checksum of that
  std::string window;             // the last bytes made
};

class GzipFile final : public ByteStream {
 public:
  /// Reads from the start, or from a point() that an earlier object told. Throws: DataError when the file cannot be
  /// opened or entered there.
  explicit GzipFile(const std::filesystem::path& path, const std::optional<GzipPoint>& from = {});

  /// Also throws: DataError for a file that is damaged, truncated, or has other bytes after its end.
  size_t read(std::span<std::byte> buffer) override;

  uint64_t compressed_bytes() const { return compressed_bytes_; }  // read so far …
  uint64_t expanded_bytes() const { return expanded_bytes_; }      // … and what they made

  /// Reads on up to this many bytes made, which are lost. Throws as read().
  void skip_to(uint64_t expanded_bytes);

  /// A place at or before this many bytes made, if they were read not long ago: nothing then means the start.
  std::optional<GzipPoint> point_before(uint64_t expanded_bytes) const;

 private:
  void enter(const GzipPoint& point);
  void refill();
  void finish_member();
  void keep_point();
  [[noreturn]] void fail(const std::string& what) const;

  struct Deleter {
    void operator()(z_stream_s* stream) const;
  };

  std::filesystem::path path_;
  io::FileDescriptor fd_;
  std::vector<unsigned char> input_;
  std::unique_ptr<z_stream_s, Deleter> inflate_;
  bool is_input_at_end_ = false;
  bool is_between_members_ = true;
  bool is_entered_ = false;  // in a member of which zlib has not seen the header: its end is looked at here
  uint64_t member_bytes_ = 0;
  uint32_t member_crc_ = 0;  // where is_entered_
  uint64_t compressed_bytes_ = 0;
  uint64_t expanded_bytes_ = 0;
  std::array<std::optional<GzipPoint>, 2> points_;  // the last but one, the last
};

}  // namespace lra::tasks
