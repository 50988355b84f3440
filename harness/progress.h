// Progress of long work on standard error: a redrawn bar on a terminal, plain lines elsewhere; never standard output.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "harness/stopwatch.h"

namespace lra::harness {

/// Silences bars, lines and log_line() for the whole program (--quiet).
void set_quiet(bool value);
bool is_quiet();

/// Writes one line to standard error; a bar that is being drawn steps aside and comes back. Any thread may call it.
void log_line(std::string_view line);

/// Writes `text` to standard output at once; a bar that is being drawn steps aside and comes back.
/// Throws ResourceError when it does not get there.
void print_result(std::string_view text);

/// What a bar or a line shows.
struct ProgressState {
  std::string label = {};
  std::string unit = {};  // "steps", "examples"
  std::uint64_t done = 0;
  std::uint64_t total = 0;      // 0: unknown
  double elapsed_s = 0;         // of this process
  std::uint64_t done_here = 0;  // by this process; a resumed run starts above 0
  std::string note = {};
};

/// "train [=====>    ]  50 %  250/500 steps  12.3 steps/s  loss 1.70  elapsed 20.3 s  ETA 20.3 s" in at most `width`
/// columns. Where there is no room for all, percentage, ETA, the note's first part (two blanks end it) and the count
/// stay longest.
std::string format_bar(const ProgressState& state, int width);

/// The same as a plain line, without the bar.
std::string format_progress_line(const ProgressState& state);

/// Reports one piece of work from construction to finish(). At most one draws at a time: an inner one takes the line
/// over and gives it back. update() may be called from any thread and is cheap: it writes ten times a second on a
/// terminal, every ten seconds elsewhere (also when the bar is not wanted: TERM=dumb).
///
/// The bar needs a terminal; TERM=dumb has plain lines, NO_COLOR a bar without colour. $COLUMNS wins over the
/// terminal's own width.
class Progress {
 public:
  /// `total` may be 0 (unknown); `initial` is what an earlier process had done already.
  Progress(std::string label, std::uint64_t total, std::string unit, std::uint64_t initial = 0);
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// Without finish() (an exception), the bar is only taken away.
  ~Progress();

  void update(std::uint64_t done, std::string_view note = {});

  /// Takes the bar away and leaves one summary line.
  void finish();

 private:
  friend void log_line(std::string_view line);
  friend void print_result(std::string_view text);

  void draw();
  void erase();
  void refresh_elapsed();

  ProgressState state_;
  std::uint64_t initial_;
  Clock::time_point start_;
  Clock::time_point last_shown_;
  bool terminal_;
  bool drawn_ = false;
  bool finished_ = false;
  Progress* outer_ = nullptr;  // the one that was drawing before
};

}  // namespace lra::harness
