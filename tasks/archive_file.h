// The members of an archive (.tar, compressed or not; .zip), one after the other, without unpacking it.
#pragma once

#include <cstdint>
#include <exception>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tasks/byte_stream.h"
#include "tasks/gzip_file.h"

struct archive;  // of libarchive, whose headers stay in archive_file.cc

namespace lra::tasks {

/// The first 512 bytes of a file, or as many as it has; none of one that cannot be read.
std::string first_bytes(const std::filesystem::path& path);

/// Whether a regular file begins as gzip, xz, bzip2, zstd, zip or tar files do. Its name does not matter.
bool is_archive(const std::filesystem::path& path);

struct ArchiveMember {
  std::string path;         // as stored, without a leading "./"
  bool is_regular = false;  // not a directory, link or device
  bool is_safe = false;     // a relative path without "..", of a sensible length
};

/// How far an archive has been read: in or at the end of a member.
struct ArchivePosition {
  uint64_t members = 0;       // up to this one, which counts
  uint64_t member_bytes = 0;  // of this one

  /// Of a member whose bytes lie as they are in a gzip file, which can be entered there. Other archives are read from
  /// their start again, up to the place.
  struct InGzip {
    uint64_t data_begin = 0;  // in what the file expands to
    uint64_t data_bytes = 0;
    std::optional<GzipPoint> point;  // nothing: the start
  };
  std::optional<InGzip> in_gzip;
};

/// Reads an archive from its start, or from where an earlier reading was, to its end. Memory does not depend on what
/// the archive claims (a decoder of xz may take up to 1 GiB, its own limit). Throws: DataError naming the archive where
/// it is damaged or truncated, or expands as no collection of data does.
class ArchiveFile final : public ByteStream {
 public:
  explicit ArchiveFile(const std::filesystem::path& path, const ArchivePosition& from = {});

  /// Goes to the next member, which member() then tells. False at the end, where checksums have been compared.
  bool next();
  const ArchiveMember& member() const { return member_; }  // nothing known of the one that was entered in the middle

  /// Bytes of the member.
  size_t read(std::span<std::byte> buffer) override;

  /// How far the archive's file has been read.
  uint64_t position_bytes() const;

  /// Where the first `member_bytes` of the member have been read, and perhaps a little more.
  ArchivePosition position(uint64_t member_bytes) const;

 private:
  struct Deleter {
    void operator()(archive* handle) const;
  };

  void open();
  void enter(const ArchivePosition& position);
  bool leave_entered();
  static long feed(archive* handle, void* self, const void** piece);  // NOLINT(google-runtime-int): la_ssize_t
  void check(int status) const;
  void check_expansion() const;
  [[noreturn]] void fail(const std::string& what) const;

  std::filesystem::path path_;
  std::unique_ptr<GzipFile> gzip_;  // feeds libarchive when the file is gzip
  std::vector<std::byte> piece_;
  size_t waiting_bytes_ = 0;  // of piece_, with which libarchive is fed first
  std::exception_ptr feeding_failure_;
  std::unique_ptr<archive, Deleter> handle_;
  ArchiveMember member_;
  bool is_in_member_ = false;
  uint64_t members_ = 0;
  std::optional<ArchivePosition::InGzip> in_gzip_;  // of the member
  uint64_t libarchive_begin_ = 0;                   // where it was given the first of the expanded bytes
  uint64_t entered_end_ = 0;                        // of a member that is read without libarchive; 0: it is not
  uint64_t read_bytes_ = 0;
};

}  // namespace lra::tasks
