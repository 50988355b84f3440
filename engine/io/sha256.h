// SHA-256 of bytes and files, in hexadecimal.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

struct SHA256state_st;  // of OpenSSL, whose headers stay in sha256.cc

namespace lra::io {

/// Incremental SHA-256. Copies go on independently of each other.
class Sha256 {
 public:
  Sha256();
  Sha256(const Sha256& other);
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(const Sha256& other);
  Sha256& operator=(Sha256&&) noexcept;
  ~Sha256();

  /// Goes on where the object was whose state() `text` is. Throws: DataError for other texts.
  static Sha256 from_state(std::string_view text);

  void update(std::span<const std::byte> bytes);
  void update(std::string_view text) { update(std::as_bytes(std::span(text.data(), text.size()))); }

  /// What is known of the bytes so far, in printable characters.
  std::string state() const;

  /// 64 lower-case hexadecimal digits. The object may not be used afterwards.
  std::string hex_digest();

 private:
  std::unique_ptr<SHA256state_st> context_;
};

std::string sha256_hex(std::span<const std::byte> bytes);
std::string sha256_hex(std::string_view text);

/// Called with how many bytes of the file are hashed, of how many; may throw to stop.
using HashProgressFn = std::function<void(uint64_t done_bytes, uint64_t total_bytes)>;

/// Of a file of any size, in bounded memory. Throws: DataError when it cannot be read.
std::string sha256_file(const std::filesystem::path& path, const HashProgressFn& progress = {});

}  // namespace lra::io
