#include "tasks/listops/expression.h"

#include <fmt/format.h>

#include "engine/errors.h"
#include "tasks/byte_stream.h"

namespace lra::tasks::listops {
namespace {

constexpr size_t kMaxShownBytes = 24;  // of a symbol, in a message

/// The digit with `rank` smaller or equal digits before it, counting from 0.
int digit_of_rank(const std::array<uint32_t, kDigits>& counts, uint32_t rank) {
  int digit = 0;
  for (uint32_t seen = counts[0]; seen <= rank; seen += counts[static_cast<size_t>(digit)]) ++digit;
  return digit;
}

}  // namespace

const std::vector<std::string>& vocabulary() {
  static const std::vector<std::string> symbols{"<pad>", "0", "1",    "2",    "3",    "4",   "5", "6",    "7",
                                                "8",     "9", "[MIN", "[MAX", "[MED", "[SM", "]", "<oov>"};
  return symbols;
}

std::optional<uint8_t> token_of(std::string_view symbol) {
  if (symbol.size() == 1 && symbol[0] >= '0' && symbol[0] <= '9') {
    return static_cast<uint8_t>(kDigit0 + (symbol[0] - '0'));
  }
  if (symbol == "]") return kClose;
  if (symbol == "[MIN") return kMin;
  if (symbol == "[MAX") return kMax;
  if (symbol == "[MED") return kMed;
  if (symbol == "[SM") return kSum;
  return std::nullopt;
}

int Evaluator::value_of(const Frame& frame) {
  switch (frame.operation) {
    case kMin:
      return digit_of_rank(frame.counts, 0);
    case kMax:
      return digit_of_rank(frame.counts, frame.arguments - 1);
    case kMed: {
      const int upper = digit_of_rank(frame.counts, frame.arguments / 2);
      return frame.arguments % 2 == 1 ? upper : (digit_of_rank(frame.counts, frame.arguments / 2 - 1) + upper) / 2;
    }
    default: {
      uint64_t sum = 0;
      for (size_t digit = 1; digit < frame.counts.size(); ++digit) sum += digit * frame.counts[digit];
      return static_cast<int>(sum % kDigits);
    }
  }
}

std::optional<int> Evaluator::evaluate(std::span<const uint8_t> tokens) {
  frames_.clear();
  const auto fail = [&](size_t position, std::string what) {
    fault_ = {position, std::move(what)};
    return std::nullopt;
  };
  for (size_t i = 0; i < tokens.size(); ++i) {
    int value = tokens[i] - kDigit0;
    if (is_operator(tokens[i])) {
      frames_.push_back({.operation = tokens[i]});
      continue;
    }
    if (tokens[i] == kClose) {
      if (frames_.empty()) return fail(i, "`]` closes nothing");
      if (frames_.back().arguments == 0) return fail(i, "an operator has no arguments");
      value = value_of(frames_.back());
      frames_.pop_back();
    } else if (!is_digit(tokens[i])) {
      return fail(i, fmt::format("the token id {} is not part of an expression", tokens[i]));
    }
    if (frames_.empty()) {
      if (i + 1 == tokens.size()) return value;
      return fail(i + 1, "the expression was complete before");
    }
    ++frames_.back().arguments;
    ++frames_.back().counts[static_cast<size_t>(value)];
  }
  if (tokens.empty()) return fail(0, "there is no expression");
  return fail(tokens.size(), fmt::format("{} `]` missing at the end", frames_.size()));
}

std::string official_text(std::span<const uint8_t> tokens) {
  // An operator opens one parenthesis for each argument and one for its `]`, so the arguments are counted first.
  std::vector<size_t> arguments(tokens.size(), 0);
  std::vector<size_t> open;
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i] == kClose) {
      LRA_CHECK(!open.empty(), "not an expression");
      open.pop_back();
    } else if (!open.empty()) {
      ++arguments[open.back()];
    }
    if (is_operator(tokens[i])) open.push_back(i);
  }
  LRA_CHECK(open.empty(), "not an expression");
  std::string text;
  text.reserve(tokens.size() * 7);
  size_t depth = 0;
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (i > 0) text += ' ';
    if (is_operator(tokens[i])) {
      for (size_t k = 0; k <= arguments[i]; ++k) text += "( ";
      text += vocabulary()[tokens[i]];
      ++depth;
      continue;
    }
    text += vocabulary()[tokens[i]];
    if (tokens[i] == kClose) {
      text += " )";
      --depth;
    }
    if (depth > 0) text += " )";
  }
  return text;
}

std::optional<Fault> tokenize(std::string_view text, std::vector<uint8_t>& tokens, std::vector<uint32_t>& positions) {
  size_t open_parentheses = 0;
  for (size_t at = 0; at < text.size();) {
    if (text[at] == ' ') {
      ++at;
      continue;
    }
    const size_t end = std::min(text.find(' ', at), text.size());
    const std::string_view symbol = text.substr(at, end - at);
    if (symbol == "(") {
      ++open_parentheses;
    } else if (symbol == ")") {
      if (open_parentheses == 0) return Fault{at, "`)` closes nothing"};
      --open_parentheses;
    } else {
      const std::optional<uint8_t> token = token_of(symbol);
      if (!token) {
        return Fault{at, fmt::format("expected a digit, `[MIN`, `[MAX`, `[MED`, `[SM`, `]`, `(` or `)`, found `{}`",
                                     printable(symbol, kMaxShownBytes))};
      }
      tokens.push_back(*token);
      positions.push_back(static_cast<uint32_t>(at));
    }
    at = end;
  }
  if (open_parentheses > 0) return Fault{text.size(), fmt::format("{} `)` missing at the end", open_parentheses)};
  return std::nullopt;
}

}  // namespace lra::tasks::listops
