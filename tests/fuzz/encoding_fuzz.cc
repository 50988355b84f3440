// Texts of any bytes to token ids and back.
#include <algorithm>

#include "tasks/encoding.h"
#include "tasks/utf8.h"
#include "tests/fuzz/fuzzing.h"

using namespace lra;

namespace {

/// Some characters are known; all others are not.
tasks::TextEncoding some_characters() {
  tasks::CharacterCounts counts;
  counts.add("a <0x41>\n\xc3\xa9\xe2\x9c\x93");
  return tasks::TextEncoding::of_characters(counts, 1);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const tasks::TextEncoding bytes = tasks::TextEncoding::of_bytes();
  static const tasks::TextEncoding characters = some_characters();
  constexpr int64_t kAll = int64_t{1} << 24;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  std::vector<uint16_t> tokens;
  fuzzing::require(bytes.encode(text, kAll, tokens), "a text of bytes was cut");
  fuzzing::require(tasks::decode_text(bytes.vocabulary(), tokens) == text, "bytes that do not come back");
  fuzzing::require(characters.encode(text, kAll, tokens), "a text of characters was cut");
  const bool is_known = std::find(tokens.begin(), tokens.end(), 1) == tokens.end();
  const std::string back = tasks::decode_text(characters.vocabulary(), tokens);
  fuzzing::require(!is_known || back == text, "known characters that do not come back");
  fuzzing::require(tasks::count_invalid_utf8(back) == 0, "a text that is not UTF-8");
  if (size > 0) fuzzing::require(!bytes.encode(text, static_cast<int64_t>(size) - 1, tokens), "a cut that is not told");
  return 0;
}
