// ListOps expressions as sequences of token ids: vocabulary, value, and the official text with round parentheses.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lra::tasks::listops {

/// The fixed vocabulary. An expression is its prefix form: `[MAX 2 9 ]` is {kMax, kDigit0 + 2, kDigit0 + 9, kClose}.
enum Token : uint8_t {
  kPad = 0,
  kDigit0 = 1,  // … to 10 for the digit 9
  kMin = 11,
  kMax = 12,
  kMed = 13,
  kSum = 14,  // [SM: sum modulo 10
  kClose = 15,
  kUnknown = 16,  // never in a valid expression; keeps the official vocabulary size of 17
};

inline constexpr int kDigits = 10;
inline constexpr int kOperators = 4;

constexpr bool is_digit(uint8_t token) { return token >= kDigit0 && token < kDigit0 + kDigits; }
constexpr bool is_operator(uint8_t token) { return token >= kMin && token < kMin + kOperators; }

/// Symbol of each id: "<pad>", "0", …, "9", "[MIN", "[MAX", "[MED", "[SM", "]", "<oov>".
const std::vector<std::string>& vocabulary();

/// The id of a symbol of an expression; nothing for parentheses and unknown symbols.
std::optional<uint8_t> token_of(std::string_view symbol);

/// Where and why a sequence or a text is not an expression.
struct Fault {
  size_t position = 0;  // of the token, or of the character in a text
  std::string what;
};

/// Computes values; keeps its memory between calls, so one object per thread serves many expressions.
class Evaluator {
 public:
  /// The value 0..9 of a complete expression, or nothing and then fault() says why not. MIN, MAX and SM are as named;
  /// MED of an even number of arguments is the mean of the middle two, rounded down.
  std::optional<int> evaluate(std::span<const uint8_t> tokens);

  const Fault& fault() const { return fault_; }

 private:
  /// An operator that waits for its closing bracket: how often each digit has come as an argument.
  struct Frame {
    uint8_t operation = 0;
    uint32_t arguments = 0;
    std::array<uint32_t, kDigits> counts{};
  };

  static int value_of(const Frame& frame);

  std::vector<Frame> frames_;
  Fault fault_;
};

/// The official text, in which an operator and its arguments are left-nested pairs: MAX(2, 9) is
/// `( ( ( [MAX 2 ) 9 ) ] )`. `tokens` must be a valid expression.
std::string official_text(std::span<const uint8_t> tokens);

/// Splits a text at blanks, drops the round parentheses and appends one id a symbol to `tokens`, with the position of
/// its first character in `positions`. Returns a fault for an unknown symbol or parentheses that do not match.
std::optional<Fault> tokenize(std::string_view text, std::vector<uint8_t>& tokens, std::vector<uint32_t>& positions);

}  // namespace lra::tasks::listops
