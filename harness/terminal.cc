#include "harness/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <limits>
#include <string_view>

#include "reports/text_report.h"

namespace lra::harness {
namespace {

constexpr int kLeastColumns = 20;

std::string_view environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

}  // namespace

int columns(int file_descriptor, int otherwise) {
  const std::string_view given = environment("COLUMNS");
  int width = 0;
  std::from_chars(given.data(), given.data() + given.size(), width);
  winsize size{};
  if (width <= 0 && ::ioctl(file_descriptor, TIOCGWINSZ, &size) == 0) width = size.ws_col;
  return width > 0 ? std::max(kLeastColumns, width) : otherwise;
}

bool takes_control_sequences(int file_descriptor) {
  const std::string_view term = environment("TERM");
  return ::isatty(file_descriptor) == 1 && !term.empty() && term != "dumb";
}

bool takes_colour(int file_descriptor) {
  return takes_control_sequences(file_descriptor) && environment("NO_COLOR").empty();
}

int report_width() { return std::min(reports::kTextWidth, columns(STDOUT_FILENO, reports::kTextWidth)); }

int table_width() { return columns(STDOUT_FILENO, std::numeric_limits<int>::max()); }

}  // namespace lra::harness
