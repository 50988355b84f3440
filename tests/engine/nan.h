// What tests put where nobody may read.
#pragma once

#include <limits>

namespace lra::engine {

inline constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

}  // namespace lra::engine
