#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "reports/page.h"
#include "reports/text_report.h"
#include "reports/units.h"

namespace lra::reports {
namespace {

constexpr size_t kPhaseWidth = 5;
constexpr int kScopeFrom = 72;  // columns of a window that has room for the scope

/// A column behind the names, and the narrowest window that shows it.
struct NumberColumn {
  const char* heading;
  size_t width;
  int shown_from;
};
constexpr int kFullWidth = 100;
constexpr NumberColumn kNumbers[] = {{"calls", 7, kFullWidth}, {"time %", 7, 0},         {"ns/token", 9, 0},
                                     {"GFLOP/s", 8, 60},       {"bytes", 9, kFullWidth}, {"in cache", 9, kFullWidth},
                                     {"GB/s", 6, 80},          {"roof", 6, 60}};

/// The cells of the columns that a window of `width` shows.
std::string shown_cells(const std::vector<std::string>& cells, int width) {
  std::string line;
  for (size_t i = 0; i < cells.size(); ++i)
    if (width >= kNumbers[i].shown_from) line += fmt::format("{:>{}}", cells[i], kNumbers[i].width);
  return line + "\n";
}

/// Cut to `width` less a space, with "~".
std::string cut(const std::string& text, size_t width) {
  return text.size() < width ? text : text.substr(0, width - 2) + "~";
}

/// Without the ending that the pass tells already, where the whole name is too long.
std::string short_operation(const ProfileRow& row, size_t width) {
  for (const std::string_view ending : {"_gradient", "_backward"})
    if (row.operation.size() >= width && row.phase == "backward" && row.operation.ends_with(ending))
      return cut(row.operation.substr(0, row.operation.size() - ending.size()), width);
  return cut(row.operation, width);
}

std::string_view short_phase(std::string_view phase) {
  return phase == "forward" ? "fwd" : phase == "backward" ? "bwd" : phase == "optimizer" ? "opt" : "";
}

std::string rate(const std::optional<double>& value, std::string_view format) {
  return value ? fmt::format(fmt::runtime(format), *value) : "-";
}

/// The columns after the names.
std::string numbers(const ProfileRow& row, int width) {
  return shown_cells(
      {format_integer(row.calls), fmt::format("{:.1f}", 100 * row.time_share), fmt::format("{:.2f}", row.ns_per_token),
       rate(row.gflops, "{:.1f}"), row.bytes > 0 ? format_bytes(row.bytes) : "-",
       row.cached_bytes > 0 ? format_bytes(row.cached_bytes) : "-", rate(row.gb_per_s, "{:.1f}"),
       row.roofline_share ? fmt::format("{:.0f} %", 100 * *row.roofline_share) : "-"},
      width);
}

/// A line that has a share and a time only.
std::string sum_line(const std::string& name, size_t names_width, const ProfileRow& row, int width) {
  return fmt::format("{:<{}}", cut(name, names_width), names_width) +
         shown_cells({row.calls > 0 ? format_integer(row.calls) : "", fmt::format("{:.1f}", 100 * row.time_share),
                      fmt::format("{:.2f}", row.ns_per_token)},
                     width);
}

void add(ProfileRow& sum, const ProfileRow& row) {
  sum.calls += row.calls;
  sum.ns_per_token += row.ns_per_token;
  sum.time_share += row.time_share;
}

std::string title(const ResultRecord& record) {
  std::string text =
      fmt::format("{}, n = {}, {}, {} thread{}: time of one worker while all are busy", record.attention.name,
                  format_integer(record.sequence_length), record.speed.train_step_ms ? "train" : "infer",
                  record.threads, record.threads == 1 ? "" : "s");
  if (record.bound && record.bound->worker_peak_gflops)
    text += fmt::format("; peak {:.0f} GFLOP/s", *record.bound->worker_peak_gflops);
  if (record.memory.bandwidth_gb_per_s && record.memory.bandwidth_gb_per_s->before)
    text +=
        fmt::format(", {:.1f} GB/s", *record.memory.bandwidth_gb_per_s->before / static_cast<double>(record.threads));
  return text + "\n";
}

}  // namespace

std::string profile_table(const ResultRecord& record, int width) {
  if (!record.profile) return "";
  const bool scoped = width >= kScopeFrom;
  size_t operation_width = 10, scope_width = 6, numbers_width = 0;
  for (const ProfileRow& row : *record.profile) {
    if (row.phase == "outside") continue;
    operation_width = std::max(operation_width, row.operation.size() + 1);
    scope_width = std::max(scope_width, row.scope.size() + 1);
  }
  std::vector<std::string> headings;
  for (const NumberColumn& column : kNumbers) {
    headings.emplace_back(column.heading);
    if (width >= column.shown_from) numbers_width += column.width;
  }
  const size_t names = static_cast<size_t>(std::max(width, kLeastWidth)) - kPhaseWidth - numbers_width;
  scope_width = scoped ? std::min(scope_width, names / 2) : 0;
  operation_width = std::min(operation_width, names - scope_width);
  const size_t names_width = kPhaseWidth + operation_width + scope_width;
  const auto names_of_row = [&](std::string_view phase, const std::string& operation, const std::string& scope) {
    std::string text = fmt::format("{:<{}}{:<{}}", phase, kPhaseWidth, operation, operation_width);
    return scoped ? text + fmt::format("{:<{}}", scope, scope_width) : text;
  };

  std::string table = fit(title(record), width);
  table += names_of_row("pass", "operation", "scope") + shown_cells(headings, width);
  ProfileRow forward, backward, step;
  std::string outside;
  for (const ProfileRow& row : *record.profile) {
    add(step, row);
    if (row.phase == "outside") {
      outside += sum_line(row.operation, names_width, row, width);
      continue;
    }
    if (row.phase == "forward") add(forward, row);
    if (row.phase == "backward") add(backward, row);
    table += names_of_row(short_phase(row.phase), short_operation(row, operation_width),
                          scoped ? cut(row.scope, scope_width) : "");
    table += numbers(row, width);
  }
  table += std::string(names_width + numbers_width, '-') + "\n";
  step.calls = 0;  // of kernels and of one optimizer step: no meaningful sum
  table += sum_line("forward kernels", names_width, forward, width);
  if (backward.calls > 0) table += sum_line("backward kernels", names_width, backward, width);
  table += outside;
  table += sum_line("step, measured without the profile", names_width, step, width);
  return table;
}

}  // namespace lra::reports
