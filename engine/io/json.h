// JSON text that others wrote: parsed with a limit on how deep it is nested.
//
// The JSON library parses without recursion but copies and prints with it, so a file of nothing but brackets would
// overflow the stack.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>

namespace lra::io {

/// Far above what any file of ours needs.
inline constexpr int kMaxJsonDepth = 64;

/// Throws the library's own exception, so that a reader has one type to catch and to put the file's name to.
template <class Json>
[[noreturn]] void refuse_json(const std::string& what) {
  constexpr int kOther = 500;
  throw Json::other_error::create(kOther, what, nullptr);
}

/// Parses `text` as Json (nlohmann's json or ordered_json); `watch` is called as its parser callback.
/// Throws: Json::exception for text that is not JSON or nested more than kMaxJsonDepth deep; what `watch` throws.
template <class Json, class Watch>
Json parse_json(std::string_view text, Watch watch) {
  return Json::parse(text, [&watch](int depth, typename Json::parse_event_t event, Json& value) {
    const bool opens = event == Json::parse_event_t::object_start || event == Json::parse_event_t::array_start;
    if (opens && depth >= kMaxJsonDepth) {
      refuse_json<Json>("objects and arrays are nested more than " + std::to_string(kMaxJsonDepth) + " deep");
    }
    return watch(depth, event, value);
  });
}

template <class Json>
Json parse_json(std::string_view text) {
  return parse_json<Json>(text, [](int, typename Json::parse_event_t, Json&) { return true; });
}

/// `value` as a whole number; `name` is its key, for the message. The library's own conversion cuts silently.
/// Throws: Json::exception when it is no whole number or does not fit in Integer.
template <class Integer, class Json>
Integer integer_of(const Json& value, const std::string& name) {
  if (value.is_number_unsigned()) {
    const auto number = value.template get<uint64_t>();
    if (std::in_range<Integer>(number)) return static_cast<Integer>(number);
  } else if (value.is_number_integer()) {
    const auto number = value.template get<int64_t>();
    if (std::in_range<Integer>(number)) return static_cast<Integer>(number);
  }
  refuse_json<Json>("`" + name + "` is not a whole number in range");
}

/// integer_of() the value at `key`. Throws: Json::exception, also when there is none.
template <class Integer, class Json>
Integer integer_at(const Json& json, const std::string& key) {
  return integer_of<Integer>(json.at(key), key);
}

}  // namespace lra::io
