// The beginning of a file that is being downloaded, `<target>.part`, and what is known about it, `<target>.part.json`.
//
// Both outlive the process in any way that it may end, so that another one goes on from there.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>

#include "engine/io/file.h"

namespace lra::harness {

/// Which version of which file the bytes belong to.
struct PartOrigin {
  std::string url;
  std::string validator;                // a strong ETag or a Last-Modified date for If-Range; empty: there was none
  std::optional<uint64_t> total_bytes;  // as the server said

  bool operator==(const PartOrigin&) const = default;
};

/// One writer at a time: the caller holds a lock.
class PartFile {
 public:
  /// Opens what an earlier process left, or makes an empty file. Throws: ResourceError.
  explicit PartFile(const std::filesystem::path& target);

  const std::filesystem::path& path() const { return path_; }
  uint64_t size_bytes() const { return size_bytes_; }

  /// Not set when nothing (or nothing readable) is known about the bytes that are there.
  const std::optional<PartOrigin>& origin() const { return origin_; }

  /// Drops all bytes; those that follow are of `origin`. Throws: ResourceError.
  void restart(const PartOrigin& origin);

  /// Says that bytes of several origins follow each other, so that only a hash can tell whether they fit.
  /// Throws: ResourceError.
  void mark_mixed();

  /// Throws: ResourceError when the disk is full; what was written until then is kept.
  void append(std::span<const std::byte> bytes);

  /// Makes the bytes durable under the target's name. Throws: ResourceError.
  void publish();

  /// Removes the part and what is known about it.
  void remove();

  /// "<target>.part".
  static std::filesystem::path path_of(const std::filesystem::path& target);

 private:
  void read_origin();
  void write_origin(const PartOrigin& origin);

  std::filesystem::path target_;
  std::filesystem::path path_;
  std::filesystem::path origin_path_;
  io::FileDescriptor fd_;
  uint64_t size_bytes_ = 0;
  std::optional<PartOrigin> origin_;
};

}  // namespace lra::harness
