#include "harness/signals.h"

#include <unistd.h>
#include <csignal>

namespace lra::harness {
namespace {

volatile std::sig_atomic_t noted_signal = 0;

void note(int signal_number) {
  if (noted_signal != 0) _exit(128 + signal_number);
  noted_signal = signal_number;
}

}  // namespace

void catch_interrupts() {
  struct sigaction action {};
  action.sa_handler = note;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

int interrupted_by() { return noted_signal; }

void stop_if_interrupted() {
  if (const int signal_number = interrupted_by(); signal_number != 0) throw Interrupted{signal_number};
}

ExitCode exit_code_of(int signal_number) { return signal_number == SIGTERM ? kExitTerminated : kExitInterrupted; }

}  // namespace lra::harness
