// SIGINT and SIGTERM as a question that loops ask between steps.
#pragma once

#include "engine/errors.h"

namespace lra::harness {

/// From now on the first SIGINT or SIGTERM is only noted; a second one ends the process at once.
void catch_interrupts();

/// The noted signal, or 0.
int interrupted_by();

/// Thrown out of work by what it reports its progress to, so that it cleans up after itself.
struct Interrupted {
  int signal_number = 0;
};

/// Throws Interrupted when a signal was noted.
void stop_if_interrupted();

/// 130 for SIGINT, 143 for SIGTERM.
ExitCode exit_code_of(int signal_number);

}  // namespace lra::harness
