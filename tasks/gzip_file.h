// A gzip file as the bytes it holds. libarchive's own filter skips the checksum at the end; this one compares it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <vector>

#include "engine/io/file.h"
#include "tasks/byte_stream.h"

struct z_stream_s;  // of zlib, whose header stays in gzip_file.cc

namespace lra::tasks {

class GzipFile final : public ByteStream {
 public:
  /// Throws: DataError when the file cannot be opened.
  explicit GzipFile(const std::filesystem::path& path);

  /// Also throws: DataError for a file that is damaged, truncated, or has other bytes after its end.
  size_t read(std::span<std::byte> buffer) override;

  uint64_t compressed_bytes() const { return compressed_bytes_; }  // read so far …
  uint64_t expanded_bytes() const { return expanded_bytes_; }      // … and what they made

 private:
  void refill();
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
  uint64_t compressed_bytes_ = 0;
  uint64_t expanded_bytes_ = 0;
};

}  // namespace lra::tasks
