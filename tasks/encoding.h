// How texts become token ids: byte by byte as the benchmark has it, or character by character as S4's code.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lra::tasks {

/// 257 symbols: "<pad>", then the bytes 0 to 255 ("a" for printable ASCII, "<0x0a>" for others).
std::vector<std::string> byte_vocabulary();

/// How often each character occurs in texts.
class CharacterCounts {
 public:
  CharacterCounts();
  void add(std::string_view text);

  /// Number of times, by code point.
  const std::vector<uint64_t>& counts() const { return counts_; }

 private:
  std::vector<uint64_t> counts_;
};

/// The token ids of texts. Id 0 is the padding.
class TextEncoding {
 public:
  /// id = byte + 1.
  static TextEncoding of_bytes();

  /// 1 is "<unk>"; from 2 on, by code point, the characters that were counted at least `min_count` times. Bytes that
  /// are not UTF-8 are unknown, each by itself. Throws: DataError when the ids would not fit 16 bits.
  static TextEncoding of_characters(const CharacterCounts& counts, uint64_t min_count);

  const std::vector<std::string>& vocabulary() const { return vocabulary_; }

  /// Replaces `tokens` by the first `max_tokens` (or fewer) of the text. Whether that is all of it.
  bool encode(std::string_view text, int64_t max_tokens, std::vector<uint16_t>& tokens) const;

 private:
  std::vector<std::string> vocabulary_;
  std::vector<uint16_t> id_of_;  // by code point; empty for bytes
};

/// The text of ids of the encoding of bytes (none is 0).
std::string decode_bytes(std::span<const uint16_t> tokens);

/// The text of ids of either encoding, whose vocabulary it is; "<unk>" becomes U+FFFD. Ids are not 0 and in the
/// vocabulary.
std::string decode_text(const std::vector<std::string>& vocabulary, std::span<const uint16_t> tokens);

/// The parameter `task.encoding` of tasks with texts.
inline const std::vector<std::string>& encoding_choices() {
  static const std::vector<std::string> choices{"bytes", "characters"};
  return choices;
}

/// S4's limit: rarer characters are unknown. Source: state-spaces/s4, src/dataloaders/lra.py (IMDB, min_freq).
inline constexpr uint64_t kMinCharacterCount = 15;

}  // namespace lra::tasks
