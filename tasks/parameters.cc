#include "tasks/parameters.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "engine/errors.h"
#include "tasks/byte_stream.h"

namespace lra::tasks {
namespace {

std::string key_of(const std::string& name) { return "task." + name; }

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
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (error != std::errc() || end != text->data() + text->size() || value < low || value > high) {
    throw UsageError(fmt::format("{}={} is not a whole number between {} and {}", key_of(name), *text, low, high),
                     fmt::format("for example --set {}={}", key_of(name), std::clamp<int64_t>(10, low, high)));
  }
  return value;
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
    throw UsageError(fmt::format("{}={} is not a line of 1 to {} bytes", key_of(name), printable(*text), kMaxBytes),
                     fmt::format("for example --set {}=AAN", key_of(name)));
  }
  return *text;
}

}  // namespace lra::tasks
