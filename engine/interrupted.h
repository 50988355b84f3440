// The end of work that somebody wants to stop.
#pragma once

namespace lra {

/// Thrown out of work by what it reports its progress to, so that it cleans up after itself. No error: whoever started
/// the work catches it.
struct Interrupted {
  int signal_number = 0;
};

}  // namespace lra
