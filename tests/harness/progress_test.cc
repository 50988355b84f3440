// Progress: what a bar shows, and that nothing but plain lines reaches a standard error that is no terminal.
#include "harness/progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <unistd.h>

#include <cstdlib>
#include <thread>

namespace lra::harness {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

const ProgressState kHalfWay = {.label = "train",
                                .unit = "steps",
                                .done = 250,
                                .total = 500,
                                .elapsed_s = 20,
                                .done_here = 200,
                                .note = "loss 1.70"};

TEST(FormatBar, ShowsShareRateAndRemainingTime) {
  const std::string bar = format_bar(kHalfWay, 100);
  EXPECT_THAT(bar, StartsWith("train [====="));
  EXPECT_THAT(bar, HasSubstr(" 50 %  250/500 steps  10 steps/s  loss 1.70  elapsed 20.0 s  ETA 25.0 s"));
  EXPECT_LE(bar.size(), 100u);
}

TEST(FormatBar, NeverExceedsTheWidth) {
  ProgressState state = kHalfWay;
  state.note = std::string(200, 'x');
  for (const int width : {20, 40, 60, 80, 200}) EXPECT_LE(format_bar(state, width).size(), static_cast<size_t>(width));
}

TEST(FormatBar, SaysWholePartsInANarrowWindow) {
  ProgressState state = kHalfWay;
  state.label = "listops cosformer";
  state.note = "loss 1.703  402 k tokens/s  val 36.2 %";
  EXPECT_EQ(format_bar(state, 39), " 50 %  loss 1.703  ETA 25.0 s");
  EXPECT_EQ(format_bar(state, 44), " 50 %  250/500 steps  loss 1.703  ETA 25.0 s");
  EXPECT_EQ(format_bar(state, 15), " 50 %");
  EXPECT_THAT(format_bar(state, 160),
              AllOf(StartsWith("listops cosformer [==="), EndsWith("val 36.2 %  elapsed 20.0 s  ETA 25.0 s")));
}

TEST(FormatBar, CopesWithNothingDoneWithTooMuchAndWithAnUnknownTotal) {
  EXPECT_THAT(format_bar({.label = "a", .unit = "rows", .total = 10}, 80), HasSubstr("  0 %  0/10 rows"));
  EXPECT_THAT(format_bar({.label = "a", .unit = "rows", .done = 12, .total = 10}, 80), HasSubstr("100 %"));
  EXPECT_EQ(format_bar({.label = "a", .unit = "rows", .done = 3}, 80), "a  3 rows");
}

TEST(FormatProgressLine, GivesSlowWorkATimeForEach) {
  ProgressState state = kHalfWay;
  state.elapsed_s = 4000;
  EXPECT_THAT(format_progress_line(state),
              HasSubstr("train: 250/500 steps (50 %)  20.0 s per step  loss 1.70  elapsed 1 h 06 m  ETA 1 h 23 m"));
}

TEST(Progress, WritesPlainLinesWhereThereIsNoTerminal) {
  ::testing::internal::CaptureStderr();
  {
    Progress progress("generate", 1000, "examples");
    for (uint64_t i = 0; i <= 1000; ++i) progress.update(i, "fine");
    log_line("between");
    progress.finish();
    progress.finish();
  }
  const std::string text = ::testing::internal::GetCapturedStderr();
  EXPECT_THAT(text, StartsWith("between\ngenerate: 1,000/1,000 examples in "));
  EXPECT_THAT(text, EndsWith("  fine\n"));
  EXPECT_THAT(text, Not(HasSubstr("\x1b")));
  EXPECT_THAT(text, Not(HasSubstr("\r")));
}

TEST(Progress, IsSilentWhenQuietOrAbandoned) {
  ::testing::internal::CaptureStderr();
  { Progress abandoned("a", 2, "steps"); }
  set_quiet(true);
  Progress progress("b", 2, "steps");
  progress.update(1);
  log_line("unheard");
  progress.finish();
  set_quiet(false);
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}

TEST(Progress, TakesUpdatesFromManyThreads) {
  ::testing::internal::CaptureStderr();
  Progress progress("work", 400, "items");
  {
    std::vector<std::jthread> threads;
    for (uint64_t t = 0; t < 4; ++t) {
      threads.emplace_back([&progress, t] {
        for (uint64_t i = 0; i < 100; ++i) progress.update(t * 100 + i, "note");
      });
    }
  }
  progress.update(400);
  progress.finish();
  EXPECT_THAT(::testing::internal::GetCapturedStderr(), HasSubstr("400/400 items"));
}

/// Runs `action` with standard error on a pseudo-terminal and returns what it wrote there.
template <class Action>
std::string on_terminal(Action action) {
  int terminal = -1, program = -1;
  winsize size{};
  size.ws_col = 72;
  if (::openpty(&terminal, &program, nullptr, nullptr, &size) != 0) return "no pseudo-terminal";
  std::fflush(stderr);
  const int saved = ::dup(STDERR_FILENO);
  ::dup2(program, STDERR_FILENO);
  action();
  std::fflush(stderr);
  ::dup2(saved, STDERR_FILENO);
  ::close(saved);
  ::close(program);
  // With the program's side closed, reading ends (with an error) once everything was read.
  std::string text;
  char buffer[4096];
  for (ssize_t count = 0; (count = ::read(terminal, buffer, sizeof buffer)) > 0;) {
    text.append(buffer, static_cast<size_t>(count));
  }
  ::close(terminal);
  return text;
}

void run_with_bar() {
  Progress progress("train", 10, "steps");
  log_line("between");
  progress.update(10);
  progress.finish();
}

TEST(Progress, DrawsABarOnATerminalAndRedrawsItAfterALogLine) {
  ::setenv("TERM", "xterm", 1);
  ::unsetenv("COLUMNS");
  ::unsetenv("NO_COLOR");
  const std::string text = on_terminal(run_with_bar);
  if (text == "no pseudo-terminal") GTEST_SKIP() << text;
  const std::string bar = "\r\x1b[2K\x1b[36mtrain [>";
  EXPECT_THAT(text, StartsWith(bar));
  EXPECT_THAT(text, HasSubstr("\r\x1b[2Kbetween\r\n" + bar));  // the terminal turns \n into \r\n
  EXPECT_THAT(text, HasSubstr("\r\x1b[2Ktrain: 10/10 steps in "));
}

TEST(Progress, HonoursNoColorAndDumbTerminals) {
  ::setenv("TERM", "xterm", 1);
  ::setenv("NO_COLOR", "1", 1);
  EXPECT_THAT(on_terminal(run_with_bar), Not(HasSubstr("\x1b[36m")));
  ::setenv("TERM", "dumb", 1);
  EXPECT_THAT(on_terminal(run_with_bar), Not(HasSubstr("\x1b")));
  ::unsetenv("NO_COLOR");
}

}  // namespace
}  // namespace lra::harness
