// SIGINT and SIGTERM as a question that loops ask between steps.
#pragma once

#include "engine/errors.h"
#include "engine/interrupted.h"

namespace lra::harness {

/// From now on the first SIGINT or SIGTERM is only noted; a second one ends the process at once.
void catch_interrupts();

/// The noted signal, or 0.
int interrupted_by();

/// Throws Interrupted when a signal was noted.
void stop_if_interrupted();

/// 130 for SIGINT, 143 for SIGTERM.
ExitCode exit_code_of(int signal_number);

}  // namespace lra::harness
