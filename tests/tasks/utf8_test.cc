#include "tasks/utf8.h"

#include <gtest/gtest.h>

#include "tasks/byte_stream.h"

namespace lra::tasks {
namespace {

TEST(Utf8Test, EveryValidCodePointIsReadBack) {
  for (uint32_t code_point = 0; code_point <= 0x10ffff; ++code_point) {
    if (code_point >= 0xd800 && code_point <= 0xdfff) continue;
    const std::string text = encode_utf8(code_point);
    const Utf8Character character = decode_utf8(text + "x");
    ASSERT_TRUE(character.is_valid) << code_point;
    ASSERT_EQ(character.code_point, code_point);
    ASSERT_EQ(character.bytes, text.size());
  }
}

TEST(Utf8Test, WhatIsNotUtf8TakesOneByte) {
  for (const char* text : {"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc3", "\xc3x", "\xe0\x80\x80", "\xe0\x9f\xbf",
                           "\xed\xa0\x80", "\xed\xbf\xbf", "\xe2\x82", "\xe2\x82x", "\xf0\x80\x80\x80",
                           "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "\xf0\x9f\x98"}) {
    const Utf8Character character = decode_utf8(text);
    EXPECT_FALSE(character.is_valid) << printable(text);
    EXPECT_EQ(character.bytes, 1U) << printable(text);
  }
}

TEST(Utf8Test, PrintableTextHasNoControlsOrBrokenCharacters) {
  EXPECT_EQ(printable("a é ✓"), "a é ✓");
  EXPECT_EQ(printable("\x1b[31m\n"), "\\x1b[31m\\x0a");
  EXPECT_EQ(printable("\xc2\x9b\x7f"), "\\xc2\\x9b\\x7f");
  EXPECT_EQ(printable("\xe9t\xe9"), "\\xe9t\\xe9");
  EXPECT_EQ(printable("abcdef", 3), "abc…");
}

}  // namespace
}  // namespace lra::tasks
