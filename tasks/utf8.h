// Unicode characters of UTF-8 text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace lra::tasks {

struct Utf8Character {
  uint32_t code_point = 0;
  size_t bytes = 1;  // of the text that it takes; an invalid one takes a single byte
  bool is_valid = false;
};

/// The first character of `text`, which may not be empty. As RFC 3629 has it, overlong forms, surrogates and code
/// points above U+10FFFF are invalid.
Utf8Character decode_utf8(std::string_view text);

/// Bytes of `text` that belong to no valid character.
int64_t count_invalid_utf8(std::string_view text);

/// `code_point` must be one that decode_utf8 calls valid.
std::string encode_utf8(uint32_t code_point);

}  // namespace lra::tasks
