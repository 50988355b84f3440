#include "tasks/parameters.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>
#include <utility>

#include "engine/errors.h"
#include "tasks/byte_stream.h"

namespace lra::tasks {
namespace {

std::string key_of(const std::string& name) { return "task." + name; }

/// The number between `low` and `high` that is all of `text`.
template <class T>
std::optional<T> number_in(std::string_view text, T low, T high) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !(value >= low && value <= high)) return std::nullopt;
  return value;
}

/// The numbers between commas; nothing where one is none, or where there are too many.
template <class T>
std::optional<std::vector<T>> numbers_in(std::string_view text, T low, T high) {
  std::vector<T> values;
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find(',', at), text.size());
    const std::optional<T> value = number_in(text.substr(at, end - at), low, high);
    if (!value || values.size() == Parameters::kMostNumbers) return std::nullopt;
    values.push_back(*value);
    at = end + 1;
  }
  return values;
}

[[noreturn]] void refuse(const std::string& name, const std::string& text, const std::string& expected,
                         const std::string& example) {
  throw UsageError(fmt::format("{}={} is not {}", key_of(name), printable(text), expected),
                   fmt::format("for example --set {}={}", key_of(name), example));
}

template <class T>
std::vector<T> numbers(const std::string& name, const std::string& text, T low, T high, std::string_view kind) {
  if (auto values = numbers_in(text, low, high)) return *values;
  refuse(name, text,
         fmt::format("1 to {} {} between {} and {}, separated by commas", Parameters::kMostNumbers, kind, low, high),
         fmt::format("{},{}", low, high));
}

}  // namespace

Parameters::Parameters(std::string of, ParameterTexts texts, const std::vector<std::string>& known)
    : of_(std::move(of)), texts_(std::move(texts)) {
  std::vector<std::string> keys;
  for (const std::string& name : known) keys.push_back(key_of(name));
  for (const auto& [key, value] : texts_) {
    if (std::find(keys.begin(), keys.end(), key) == keys.end()) {
      throw UsageError(fmt::format("{} has no parameter `{}`", of_, key), suggest(key, keys));
    }
  }
}

const std::string* Parameters::find(const std::string& name) const {
  const auto found = texts_.find(key_of(name));
  return found == texts_.end() ? nullptr : &found->second;
}

int64_t Parameters::integer(const std::string& name, int64_t otherwise, int64_t low, int64_t high) const {
  const std::string* const text = find(name);
  if (text == nullptr) return otherwise;
  if (const auto value = number_in(*text, low, high)) return *value;
  constexpr int64_t kUsual = 10;
  refuse(name, *text, fmt::format("a whole number between {} and {}", low, high),
         fmt::format("{}", std::clamp(kUsual, low, high)));
}

double Parameters::real(const std::string& name, double otherwise, double low, double high) const {
  const std::string* const text = find(name);
  if (text == nullptr) return otherwise;
  if (const auto value = number_in(*text, low, high)) return *value;
  refuse(name, *text, fmt::format("a number between {} and {}", low, high), fmt::format("{}", otherwise));
}

std::vector<int64_t> Parameters::integers(const std::string& name, std::vector<int64_t> otherwise, int64_t low,
                                          int64_t high) const {
  const std::string* const text = find(name);
  return text == nullptr ? std::move(otherwise) : numbers(name, *text, low, high, "whole numbers");
}

std::vector<double> Parameters::reals(const std::string& name, std::vector<double> otherwise, double low,
                                      double high) const {
  const std::string* const text = find(name);
  return text == nullptr ? std::move(otherwise) : numbers(name, *text, low, high, "numbers");
}

bool Parameters::flag(const std::string& name, bool otherwise) const {
  const std::string* const text = find(name);
  if (text == nullptr) return otherwise;
  if (*text != "true" && *text != "false") refuse(name, *text, "true or false", otherwise ? "false" : "true");
  return *text == "true";
}

std::string Parameters::choice(const std::string& name, const std::vector<std::string>& choices) const {
  const std::string* const text = find(name);
  if (text == nullptr) return choices.front();
  if (std::find(choices.begin(), choices.end(), *text) != choices.end()) return *text;
  throw UsageError(fmt::format("{}={} is not a choice", key_of(name), *text), suggest(*text, choices));
}

std::string Parameters::text(const std::string& name, const std::string& otherwise) const {
  constexpr size_t kMaxBytes = 200;
  const std::string* const text = find(name);
  if (text == nullptr) return otherwise;
  if (text->empty() || text->size() > kMaxBytes || printable(*text) != *text) {
    refuse(name, *text, fmt::format("a line of 1 to {} bytes", kMaxBytes), "AAN");
  }
  return *text;
}

}  // namespace lra::tasks
