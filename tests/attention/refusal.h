// What is said to a request that is refused.
#pragma once

#include <fmt/format.h>

#include <string>

#include "engine/errors.h"
#include "harness/attend.h"

namespace lra::attention::testing {

/// The error and the hint of a request; "was accepted" where there is none.
inline std::string refusal_of(const harness::AttendRequest& request) {
  try {
    harness::attend(request);
    return "was accepted";
  } catch (const UsageError& error) {
    return fmt::format("{}; {}", error.what(), error.hint());
  }
}

}  // namespace lra::attention::testing
