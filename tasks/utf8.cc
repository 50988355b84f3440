#include "tasks/utf8.h"

namespace lra::tasks {
namespace {

constexpr uint32_t kContinuationBits = 6;
constexpr uint32_t kContinuationMask = 0x3f;

}  // namespace

Utf8Character decode_utf8(std::string_view text) {
  const auto first = static_cast<uint8_t>(text[0]);
  if (first < 0x80) return {first, 1, true};
  const size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < length) return {first, 1, false};
  uint32_t code_point = first & (0x7fU >> length);
  for (size_t i = 1; i < length; ++i) {
    const auto byte = static_cast<uint8_t>(text[i]);
    if ((byte & ~kContinuationMask) != 0x80) return {first, 1, false};
    code_point = code_point << kContinuationBits | (byte & kContinuationMask);
  }
  const bool is_overlong = (length == 3 && code_point < 0x800) || (length == 4 && code_point < 0x10000);
  const bool is_surrogate = code_point >= 0xd800 && code_point <= 0xdfff;
  if (is_overlong || is_surrogate || code_point > 0x10ffff) return {first, 1, false};
  return {code_point, length, true};
}

int64_t count_invalid_utf8(std::string_view text) {
  int64_t invalid = 0;
  while (!text.empty()) {
    const Utf8Character character = decode_utf8(text);
    invalid += character.is_valid ? 0 : 1;
    text.remove_prefix(character.bytes);
  }
  return invalid;
}

std::string encode_utf8(uint32_t code_point) {
  const auto tail = [&](uint32_t index) {
    return static_cast<char>(0x80 | (code_point >> (kContinuationBits * index) & kContinuationMask));
  };
  if (code_point < 0x80) return {static_cast<char>(code_point)};
  if (code_point < 0x800) return {static_cast<char>(0xc0 | code_point >> kContinuationBits), tail(0)};
  if (code_point < 0x10000) return {static_cast<char>(0xe0 | code_point >> 2 * kContinuationBits), tail(1), tail(0)};
  return {static_cast<char>(0xf0 | code_point >> 3 * kContinuationBits), tail(2), tail(1), tail(0)};
}

}  // namespace lra::tasks
