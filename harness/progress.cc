#include "harness/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <mutex>
#include <vector>

#include "engine/errors.h"
#include "harness/terminal.h"
#include "reports/page.h"
#include "reports/units.h"

namespace lra::harness {
namespace {

constexpr std::chrono::milliseconds kRedrawEvery{100};
constexpr std::chrono::seconds kLineEvery{10};
constexpr int kUsualWidth = 80;

std::atomic<bool> quiet{false};
std::mutex standard_error;      // guards the line on the terminal and `innermost`
Progress* innermost = nullptr;  // the one that owns the terminal's line

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

/// "steps" -> "step".
std::string singular(const std::string& unit) { return unit.ends_with('s') ? unit.substr(0, unit.size() - 1) : unit; }

/// "12.3 steps/s", "" before anything is done. Slow work reads better as a time for each.
std::string rate_text(const ProgressState& state) {
  const double rate = rate_per_s(state);
  if (!(rate > 0)) return "";
  return rate >= 0.1 ? fmt::format("{} {}/s", reports::format_scaled(rate), state.unit)
                     : fmt::format("{} per {}", reports::format_duration_s(1 / rate), singular(state.unit));
}

std::string elapsed_text(const ProgressState& state) {
  return state.elapsed_s >= 1 ? "elapsed " + reports::format_duration_s(state.elapsed_s) : "";
}

/// "ETA 20.3 s", "" while nobody knows, and at the end.
std::string remaining_text(const ProgressState& state) {
  const double rate = rate_per_s(state);
  if (!(rate > 0) || state.total <= state.done) return "";
  return "ETA " + reports::format_duration_s(static_cast<double>(state.total - state.done) / rate);
}

double share_of(const ProgressState& state) {
  return std::min(1.0, static_cast<double>(state.done) / static_cast<double>(state.total));
}

/// Something a bar may say. Where there is no room for all, those of the highest rank go first.
struct BarPart {
  std::string text;
  int rank = 0;
  bool shown = false;
};

/// Two blanks between parts.
constexpr size_t kGap = 2;

/// Chooses what fits in `width` columns, most important first, and returns the columns taken.
size_t choose(std::vector<BarPart>& parts, size_t width) {
  std::vector<BarPart*> by_rank;
  for (BarPart& part : parts)
    if (!part.text.empty()) by_rank.push_back(&part);
  std::stable_sort(by_rank.begin(), by_rank.end(),
                   [](const BarPart* a, const BarPart* b) { return a->rank < b->rank; });
  size_t used = 0;
  for (BarPart* part : by_rank) {
    const size_t needed = reports::columns_of(part->text) + (used > 0 ? kGap : 0);
    part->shown = used + needed <= width;
    if (part->shown) used += needed;
  }
  return used;
}

/// "[====>   ] " with `columns` of them between the brackets.
std::string bar_text(double share, size_t columns) {
  const auto filled = static_cast<size_t>(share * static_cast<double>(columns));
  std::string bar(filled, '=');
  if (filled < columns) bar += '>';
  bar.resize(columns, ' ');
  return fmt::format("[{}]", bar);
}

/// The note's parts, which two blanks separate.
std::vector<std::string> note_parts(const std::string& note) {
  std::vector<std::string> texts;
  for (size_t at = 0; at <= note.size();) {
    const size_t end = std::min(note.find("  ", at), note.size());
    texts.push_back(note.substr(at, end - at));
    at = end + kGap;
  }
  return texts;
}

}  // namespace

void set_quiet(bool value) { quiet = value; }
bool is_quiet() { return quiet; }

std::string format_bar(const ProgressState& state, int width) {
  const bool known = state.total > 0;
  std::vector<BarPart> parts = {{state.label, 4}};
  if (known) parts.push_back({fmt::format("{:3.0f} %", 100 * share_of(state)), 0});
  parts.push_back({count_text(state), 3});
  parts.push_back({rate_text(state), 7});
  int rank = 2;  // the first part of a note is worth more than the count
  for (const std::string& text : note_parts(state.note)) {
    parts.push_back({text, rank});
    rank = rank == 2 ? 5 : 8;
  }
  parts.push_back({elapsed_text(state), 6});
  parts.push_back({remaining_text(state), 1});
  const auto room = static_cast<size_t>(std::max(1, width));
  const size_t used = choose(parts, room);

  constexpr size_t kLeastBar = 5, kMostBar = 40, kBrackets = 2;
  std::string line;
  const bool bar = known && parts[0].shown && room >= used + kGap + kBrackets + kLeastBar;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (!parts[i].shown) continue;
    line += (line.empty() ? "" : "  ") + parts[i].text;
    if (i == 0 && bar) line += " " + bar_text(share_of(state), std::min(kMostBar, room - used - kGap - kBrackets));
  }
  return line;
}

std::string format_progress_line(const ProgressState& state) {
  std::string line = fmt::format("{}: {}", state.label, count_text(state));
  if (state.total > 0) line += fmt::format(" ({:.0f} %)", 100 * share_of(state));
  for (const std::string& part : {rate_text(state), state.note, elapsed_text(state), remaining_text(state)}) {
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

void print_result(std::string_view text) {
  const std::lock_guard lock(standard_error);
  if (innermost != nullptr) innermost->erase();
  const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
  if (innermost != nullptr) innermost->draw();
  if (!written)
    throw ResourceError("cannot write to standard output", "check where it is redirected to: is the disk full?");
}

Progress::Progress(std::string label, std::uint64_t total, std::string unit, std::uint64_t initial)
    : initial_(initial), start_(Clock::now()), last_shown_(start_), terminal_(takes_control_sequences(STDERR_FILENO)) {
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
  state_.elapsed_s = seconds_since(start_);
  state_.done_here = state_.done > initial_ ? state_.done - initial_ : 0;
}

void Progress::draw() {
  if (!terminal_ || quiet || finished_) return;
  refresh_elapsed();
  const std::string bar = format_bar(state_, columns(STDERR_FILENO, kUsualWidth) - 1);  // the last column would wrap
  const bool colour = takes_colour(STDERR_FILENO);
  put(colour ? fmt::format("\r\x1b[2K\x1b[36m{}\x1b[0m", bar) : fmt::format("\r\x1b[2K{}", bar));
  drawn_ = true;
}

void Progress::erase() {
  if (!drawn_) return;
  put("\r\x1b[2K");
  drawn_ = false;
}

}  // namespace lra::harness
