// Bytes of one file, in order and in pieces, so that no file has to be held in memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace lra::tasks {

class ByteStream {
 public:
  virtual ~ByteStream() = default;

  /// Fills `buffer` from its start and returns how many bytes it got, 0 only at the end.
  /// Throws: DataError for damaged files and archives; what a ProgressFn throws to stop the work.
  virtual size_t read(std::span<std::byte> buffer) = 0;
};

/// Bytes that lie in memory and stay there.
class MemoryStream final : public ByteStream {
 public:
  explicit MemoryStream(std::string_view bytes) : rest_(bytes) {}
  size_t read(std::span<std::byte> buffer) override;

 private:
  std::string_view rest_;
};

/// What some editors write in front of UTF-8 text; no part of it.
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

/// All bytes that are left. Throws: DataError naming `path`, a name for messages, when there are more than `max_bytes`.
std::string read_all(ByteStream& bytes, const std::string& path, uint64_t max_bytes);

/// A name or a piece of text as it can be put on a terminal: other bytes than printable ASCII and whole UTF-8
/// characters as \xNN, cut after `max_bytes`.
std::string printable(std::string_view text, size_t max_bytes = 200);

}  // namespace lra::tasks
