#include "harness/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <mutex>

#include "reports/units.h"

namespace lra::harness {
namespace {

constexpr std::chrono::milliseconds kRedrawEvery{100};
constexpr std::chrono::seconds kLineEvery{10};
constexpr int kMinWidth = 20;

std::atomic<bool> quiet{false};
std::mutex standard_error;      // guards the line on the terminal and `innermost`
Progress* innermost = nullptr;  // the one that owns the terminal's line

bool set_in_environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0';
}

bool draws_on_terminal() {
  const char* term = std::getenv("TERM");
  return ::isatty(STDERR_FILENO) == 1 && term != nullptr && std::string_view(term) != "dumb" && *term != '\0';
}

int terminal_width() {
  if (const char* columns = std::getenv("COLUMNS")) {
    const int width = std::atoi(columns);
    if (width > 0) return std::max(kMinWidth, width);
  }
  winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
    return std::max(kMinWidth, static_cast<int>(size.ws_col));
  }
  return 80;
}

/// One write, so that lines of several threads do not mix. Nobody can be told if standard error is gone.
void put(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

double rate_per_s(const ProgressState& state) {
  return state.elapsed_s > 0 ? static_cast<double>(state.done_here) / state.elapsed_s : 0;
}

std::string integer(std::uint64_t value) { return reports::format_integer(static_cast<std::int64_t>(value)); }

/// "250/500 steps", "250 steps".
std::string count_text(const ProgressState& state) {
  const std::string done = integer(state.done);
  return state.total > 0 ? fmt::format("{}/{} {}", done, integer(state.total), state.unit)
                         : fmt::format("{} {}", done, state.unit);
}

/// "12.3 steps/s  ETA 20.3 s", "" before anything is done.
std::string rate_text(const ProgressState& state) {
  const double rate = rate_per_s(state);
  if (!(rate > 0)) return "";
  // Slow work reads better as a time for each.
  std::string text = rate >= 0.1 ? fmt::format("{} {}/s", reports::format_scaled(rate), state.unit)
                                 : fmt::format("{} per {}", reports::format_duration_s(1 / rate), state.unit);
  if (state.total > state.done) {
    text += "  ETA " + reports::format_duration_s(static_cast<double>(state.total - state.done) / rate);
  }
  return text;
}

}  // namespace

void set_quiet(bool value) { quiet = value; }
bool is_quiet() { return quiet; }

std::string format_bar(const ProgressState& state, int width) {
  std::string tail = count_text(state);
  for (const std::string& part : {rate_text(state), state.note}) {
    if (!part.empty()) tail += "  " + part;
  }
  if (state.total == 0) return fmt::format("{}  {}", state.label, tail).substr(0, static_cast<size_t>(width));
  const double share = std::min(1.0, static_cast<double>(state.done) / static_cast<double>(state.total));
  const std::string percent = fmt::format("{:3.0f} %", 100 * share);
  const int used = static_cast<int>(state.label.size() + percent.size() + tail.size()) + 6;  // blanks and brackets
  const int bar_width = std::clamp(width - used, 0, 40);
  std::string bar;
  if (bar_width >= 5) {
    const auto filled = static_cast<size_t>(share * bar_width);
    bar.assign(filled, '=');
    if (filled < static_cast<size_t>(bar_width)) bar += '>';
    bar.resize(static_cast<size_t>(bar_width), ' ');
    bar = fmt::format("[{}] ", bar);
  }
  return fmt::format("{} {}{}  {}", state.label, bar, percent, tail).substr(0, static_cast<size_t>(width));
}

std::string format_progress_line(const ProgressState& state) {
  std::string line = fmt::format("{}: {}", state.label, count_text(state));
  if (state.total > 0) {
    line += fmt::format(" ({:.0f} %)", 100 * static_cast<double>(state.done) / static_cast<double>(state.total));
  }
  for (const std::string& part : {rate_text(state), state.note}) {
    if (!part.empty()) line += "  " + part;
  }
  return line;
}

void log_line(std::string_view line) {
  if (quiet) return;
  const std::lock_guard lock(standard_error);
  if (innermost != nullptr) innermost->erase();
  put(std::string(line) + "\n");
  if (innermost != nullptr) innermost->draw();
}

Progress::Progress(std::string label, std::uint64_t total, std::string unit, std::uint64_t initial)
    : initial_(initial), start_(Clock::now()), last_shown_(start_), terminal_(draws_on_terminal()) {
  state_.label = std::move(label);
  state_.total = total;
  state_.unit = std::move(unit);
  state_.done = initial;
  const std::lock_guard lock(standard_error);
  outer_ = innermost;
  if (outer_ != nullptr) outer_->erase();
  innermost = this;
  draw();
}

Progress::~Progress() {
  const std::lock_guard lock(standard_error);
  erase();
  // Usually the innermost one ends first; another order only has to keep the chain whole.
  Progress** link = &innermost;
  while (*link != nullptr && *link != this) link = &(*link)->outer_;
  if (*link == this) *link = outer_;
  if (innermost != nullptr) innermost->draw();
}

void Progress::update(std::uint64_t done, std::string_view note) {
  if (quiet) return;
  const std::lock_guard lock(standard_error);
  if (finished_) return;
  state_.done = done;
  if (!note.empty()) state_.note = note;
  const auto now = Clock::now();
  if (now - last_shown_ < (terminal_ ? Clock::duration(kRedrawEvery) : Clock::duration(kLineEvery))) return;
  last_shown_ = now;
  if (terminal_) {
    if (innermost == this) draw();
  } else {
    refresh_elapsed();
    put(format_progress_line(state_) + "\n");
  }
}

void Progress::finish() {
  const std::lock_guard lock(standard_error);
  if (finished_) return;
  erase();
  finished_ = true;
  if (quiet) return;
  refresh_elapsed();
  put(fmt::format("{}: {} in {}{}{}\n", state_.label, count_text(state_), reports::format_duration_s(state_.elapsed_s),
                  state_.note.empty() ? "" : "  ", state_.note));
}

void Progress::refresh_elapsed() {
  state_.elapsed_s = std::chrono::duration<double>(Clock::now() - start_).count();
  state_.done_here = state_.done > initial_ ? state_.done - initial_ : 0;
}

void Progress::draw() {
  if (!terminal_ || quiet || finished_) return;
  refresh_elapsed();
  const std::string bar = format_bar(state_, terminal_width() - 1);  // the last column would wrap
  const bool colour = !set_in_environment("NO_COLOR");
  put(colour ? fmt::format("\r\x1b[2K\x1b[36m{}\x1b[0m", bar) : fmt::format("\r\x1b[2K{}", bar));
  drawn_ = true;
}

void Progress::erase() {
  if (!drawn_) return;
  put("\r\x1b[2K");
  drawn_ = false;
}

}  // namespace lra::harness
