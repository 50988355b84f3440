// Texts of any bytes to token ids and back, and what a server says of the bytes that it sends (Content-Range).
#include "harness/fetch/http.h"
#include "tasks/encoding.h"
#include "tasks/utf8.h"
#include "tests/fuzz/fuzzing.h"

using namespace lra;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  constexpr int64_t kAll = int64_t{1} << 24;
  std::vector<uint16_t> tokens;
  static const tasks::TextEncoding bytes = tasks::TextEncoding::of_bytes();
  fuzzing::require(bytes.encode(text, kAll, tokens), "a text of bytes was cut");
  fuzzing::require(tasks::decode_text(bytes.vocabulary(), tokens) == text, "bytes that do not come back");
  fuzzing::require(bytes.encode(text, static_cast<int64_t>(size) - 1, tokens) == (size == 0), "cut or not");

  static tasks::CharacterCounts counts;  // of the first input; later ones have unknown characters
  static const bool counted = (counts.add(text), true);
  fuzzing::require(counted, "the characters were counted");
  static const tasks::TextEncoding characters = tasks::TextEncoding::of_characters(counts, 1);
  fuzzing::require(characters.encode(text, kAll, tokens), "a text of characters was cut");
  const std::string back = tasks::decode_text(characters.vocabulary(), tokens);
  fuzzing::require(tasks::count_invalid_utf8(back) == 0, "a text that is not UTF-8");

  if (const auto range = harness::parse_content_range(text))
    fuzzing::require(range->first || range->total_bytes, "a range that says nothing");
  return 0;
}
