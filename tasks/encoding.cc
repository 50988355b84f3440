#include "tasks/encoding.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "engine/errors.h"
#include "tasks/utf8.h"

namespace lra::tasks {
namespace {

constexpr uint32_t kCodePoints = 0x110000;
constexpr uint16_t kUnknown = 1;
constexpr size_t kMaxVocabulary = 65536;

/// As it can stand in JSON and on a terminal.
std::string byte_symbol(unsigned byte) {
  constexpr unsigned kFirstVisible = 0x21;
  constexpr unsigned kLastVisible = 0x7e;
  const bool is_visible = byte >= kFirstVisible && byte <= kLastVisible;
  return is_visible ? std::string(1, static_cast<char>(byte)) : fmt::format("<0x{:02x}>", byte);
}

}  // namespace

std::vector<std::string> byte_vocabulary() {
  std::vector<std::string> symbols{"<pad>"};
  for (unsigned byte = 0; byte <= UINT8_MAX; ++byte) symbols.push_back(byte_symbol(byte));
  return symbols;
}

CharacterCounts::CharacterCounts() : counts_(kCodePoints, 0) {}

void CharacterCounts::add(std::string_view text) {
  while (!text.empty()) {
    const Utf8Character character = decode_utf8(text);
    if (character.is_valid) ++counts_[character.code_point];
    text.remove_prefix(character.bytes);
  }
}

TextEncoding TextEncoding::of_bytes() {
  TextEncoding encoding;
  encoding.vocabulary_ = byte_vocabulary();
  return encoding;
}

TextEncoding TextEncoding::of_characters(const CharacterCounts& counts, uint64_t min_count) {
  TextEncoding encoding;
  encoding.vocabulary_ = {"<pad>", "<unk>"};
  encoding.id_of_.resize(kCodePoints, kUnknown);
  for (uint32_t code_point = 0; code_point < kCodePoints; ++code_point) {
    if (counts.counts()[code_point] < std::max<uint64_t>(min_count, 1)) continue;
    if (encoding.vocabulary_.size() == kMaxVocabulary) {
      throw DataError(fmt::format("more than {} characters occur {} times or more", kMaxVocabulary - 2, min_count),
                      "use --set task.encoding=bytes");
    }
    encoding.id_of_[code_point] = static_cast<uint16_t>(encoding.vocabulary_.size());
    encoding.vocabulary_.push_back(code_point < 0x80 ? byte_symbol(code_point) : encode_utf8(code_point));
  }
  return encoding;
}

bool TextEncoding::encode(std::string_view text, int64_t max_tokens, std::vector<uint16_t>& tokens) const {
  tokens.clear();
  if (id_of_.empty()) {
    const std::string_view kept = text.substr(0, static_cast<size_t>(max_tokens));
    tokens.reserve(kept.size());
    for (const char c : kept) tokens.push_back(static_cast<uint16_t>(static_cast<uint8_t>(c) + 1));
    return kept.size() == text.size();
  }
  while (!text.empty() && static_cast<int64_t>(tokens.size()) < max_tokens) {
    const Utf8Character character = decode_utf8(text);
    tokens.push_back(character.is_valid ? id_of_[character.code_point] : kUnknown);
    text.remove_prefix(character.bytes);
  }
  return text.empty();
}

std::string decode_bytes(std::span<const uint16_t> tokens) {
  std::string text;
  text.reserve(tokens.size());
  for (const uint16_t token : tokens) text += static_cast<char>(token - 1);
  return text;
}

std::string decode_text(const std::vector<std::string>& vocabulary, std::span<const uint16_t> tokens) {
  constexpr std::string_view kByte = "<0x";  // "<0x0a>", see byte_symbol()
  constexpr std::string_view kReplacement = "\xef\xbf\xbd";
  std::string text;
  text.reserve(tokens.size());
  for (const uint16_t token : tokens) {
    const std::string& symbol = vocabulary.at(token);
    unsigned byte = 0;
    if (token == kUnknown && symbol == "<unk>") {
      text += kReplacement;
    } else if (symbol.starts_with(kByte) &&
               std::from_chars(symbol.data() + kByte.size(), symbol.data() + symbol.size(), byte, 16).ec ==
                   std::errc()) {
      text += static_cast<char>(byte);
    } else {
      text += symbol;
    }
  }
  return text;
}

}  // namespace lra::tasks
