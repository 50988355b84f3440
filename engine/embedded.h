// Text files compiled into the program (see cmake/embed.cmake).
#pragma once

#include <span>
#include <string_view>

namespace lra::embedded {

struct File {
  std::string_view path;  // relative to the source tree, e.g. "harness/presets/small.json"
  std::string_view text;
};

}  // namespace lra::embedded
