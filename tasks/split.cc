#include "tasks/split.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/errors.h"

namespace lra::tasks {

std::string_view split_text(SplitName name) {
  switch (name) {
    case SplitName::kTrain:
      return "train";
    case SplitName::kValidation:
      return "validation";
    case SplitName::kTest:
      return "test";
  }
  LRA_CHECK(false, "unknown SplitName");
}

SplitName parse_split(std::string_view text) {
  std::vector<std::string> known;
  for (const SplitName name : kSplitNames) {
    if (split_text(name) == text) return name;
    known.emplace_back(split_text(name));
  }
  throw UsageError(fmt::format("there is no split `{}`", text), suggest(text, known));
}

int64_t& SplitSizes::operator[](SplitName name) {
  return name == SplitName::kTrain ? train : name == SplitName::kValidation ? validation : test;
}

int64_t SplitSizes::operator[](SplitName name) const {
  return name == SplitName::kTrain ? train : name == SplitName::kValidation ? validation : test;
}

size_t Split::sequence(int64_t example, int input) const {
  LRA_CHECK(example >= 0 && example < size() && input >= 0 && input < inputs_per_example_,
            fmt::format("example {} (input {}) of the {} in {}", example, input, size(), split_text(name_)));
  return static_cast<size_t>(example * inputs_per_example_ + input);
}

int64_t Split::length(int64_t example, int input) const {
  const size_t at = sequence(example, input);
  return static_cast<int64_t>(offsets_[at + 1] - offsets_[at]);
}

std::span<const uint8_t> Split::tokens(int64_t example, int input) const {
  LRA_CHECK(token_type_ == TokenType::kUint8, "this dataset stores uint16 tokens");
  const size_t at = sequence(example, input);
  return tokens8_.subspan(offsets_[at], offsets_[at + 1] - offsets_[at]);
}

std::span<const uint16_t> Split::tokens16(int64_t example, int input) const {
  LRA_CHECK(token_type_ == TokenType::kUint16, "this dataset stores uint8 tokens");
  const size_t at = sequence(example, input);
  return tokens16_.subspan(offsets_[at], offsets_[at + 1] - offsets_[at]);
}

int64_t Split::copy_tokens(int64_t example, int input, std::span<int32_t> to) const {
  const auto copy = [&](auto from) {
    const size_t count = std::min(from.size(), to.size());
    std::copy_n(from.begin(), count, to.begin());
    std::fill(to.begin() + static_cast<std::ptrdiff_t>(count), to.end(), 0);
    return static_cast<int64_t>(count);
  };
  return token_type_ == TokenType::kUint8 ? copy(tokens(example, input)) : copy(tokens16(example, input));
}

}  // namespace lra::tasks
