#include "tasks/byte_stream.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "engine/errors.h"
#include "tasks/utf8.h"

namespace lra::tasks {

size_t MemoryStream::read(std::span<std::byte> buffer) {
  const size_t count = std::min(buffer.size(), rest_.size());
  if (count > 0) std::memcpy(buffer.data(), rest_.data(), count);
  rest_.remove_prefix(count);
  return count;
}

std::string read_all(ByteStream& bytes, const std::string& path, uint64_t max_bytes) {
  constexpr size_t kPieceBytes = size_t{64} << 10;
  std::string text;
  size_t size = 0;
  while (true) {
    text.resize(size + kPieceBytes);
    const size_t count = bytes.read(std::as_writable_bytes(std::span(text)).subspan(size));
    size += count;
    if (count == 0) break;
    if (size > max_bytes) {
      throw DataError(fmt::format("`{}` is larger than {} bytes", path, max_bytes),
                      "such a file is not one of this task; take it out of --from");
    }
  }
  text.resize(size);
  return text;
}

std::string printable(std::string_view text, size_t max_bytes) {
  std::string shown;
  const bool is_cut = text.size() > max_bytes;
  text = text.substr(0, max_bytes);
  while (!text.empty()) {
    const Utf8Character character = decode_utf8(text);
    constexpr uint32_t kFirstPrintable = 0x20;
    constexpr uint32_t kFirstBeyondControls = 0xa0;  // 0x7f to 0x9f are controls, too
    const bool is_plain = character.code_point >= kFirstPrintable &&
                          (character.code_point < 0x7f || character.code_point >= kFirstBeyondControls);
    for (const char c : text.substr(0, character.bytes)) {
      shown += character.is_valid && is_plain ? std::string(1, c) : fmt::format("\\x{:02x}", static_cast<uint8_t>(c));
    }
    text.remove_prefix(character.bytes);
  }
  return is_cut ? shown + "…" : shown;
}

}  // namespace lra::tasks
