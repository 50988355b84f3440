// Row loops whose common widths are known to the compiler: whole vectors, no prologue, no remainder.
#pragma once

#include <cstdint>
#include <type_traits>

namespace lra::engine {

/// Calls f(width) with the width as a constant where it is a usual one (d_head, features, d_model), else as it is.
/// `f` takes its argument by `auto` and loops up to it; the arithmetic is the same either way.
template <class F>
void with_width(int64_t width, F&& f) {
  switch (width) {
    case 16:
      return f(std::integral_constant<int64_t, 16>{});
    case 32:
      return f(std::integral_constant<int64_t, 32>{});
    case 64:
      return f(std::integral_constant<int64_t, 64>{});
    case 128:
      return f(std::integral_constant<int64_t, 128>{});
    default:
      return f(width);
  }
}

}  // namespace lra::engine
