#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "reports/page.h"
#include "reports/text_report.h"
#include "reports/units.h"

namespace lra::reports {
namespace {

constexpr int kOtherColumns = 67;  // of the table's lines, behind the name
constexpr int kLeastNameWidth = 11;
constexpr int kLeastTableWidth = kOtherColumns + kLeastNameWidth;

struct BenchRow {
  std::string name, length, mode, batch, steps, spread, tokens, mfu, bound, arena;
};

bool trains(const ResultRecord& record) {
  return record.speed.train_steps_per_s.has_value() || !record.speed.infer_steps_per_s.has_value();
}

/// Half the width of the median's interval, as a share of the median.
std::string spread_of(const std::optional<StepTimeBlock>& times) {
  if (!times || !times->median95 || !(times->p50 > 0)) return "-";
  const auto [low, high] = *times->median95;
  return fmt::format("{:.1f} %", 100 * 0.5 * (high - low) / times->p50);
}

BenchRow bench_row(const ResultRecord& record) {
  const bool train = trains(record), fits = record.status != RunStatus::kDoesNotFit;
  const auto& steps = train ? record.speed.train_steps_per_s : record.speed.infer_steps_per_s;
  const auto& tokens = train ? record.speed.train_tokens_per_s : record.speed.infer_tokens_per_s;
  const auto& mfu = train ? record.mfu.train : record.mfu.infer;
  const auto& bytes =
      record.memory.peak_arena_bytes ? record.memory.peak_arena_bytes : record.memory.forecast_arena_bytes;
  BenchRow row;
  row.name = record.attention.name;
  row.length = format_integer(record.sequence_length);
  row.mode = !fits ? "-" : train ? "train" : "infer";
  row.batch = record.speed.batch_size ? format_integer(*record.speed.batch_size) : "-";
  row.steps = !fits ? "too large" : steps ? format_scaled(*steps) : "-";
  row.spread = spread_of(train ? record.speed.train_step_ms : record.speed.infer_step_ms);
  row.tokens = tokens ? format_scaled(*tokens) : "-";
  row.mfu = mfu ? fmt::format("{:.1f} %", 100 * *mfu) : "-";
  row.bound =
      record.bound && record.bound->share_reached ? fmt::format("{:.0f} %", 100 * *record.bound->share_reached) : "-";
  row.arena = bytes ? format_bytes(*bytes) : "-";
  return row;
}

/// "12", "2 to 30".
std::string range(std::int64_t least, std::int64_t most) {
  return least == most ? format_integer(least) : fmt::format("{} to {}", format_integer(least), format_integer(most));
}

std::string warm_up_footnote(std::span<const ResultRecord> records) {
  std::optional<std::int64_t> least, most;
  std::string unsettled;
  for (const ResultRecord& record : records) {
    const auto& steps = record.speed.warmup_steps_excluded;
    if (!steps) continue;
    least = least ? std::min(*least, *steps) : *steps;
    most = most ? std::max(*most, *steps) : *steps;
    if (record.speed.steady_state && !*record.speed.steady_state)
      unsettled += fmt::format("  Step times of {} at n = {} had not settled in {} steps.\n", record.attention.name,
                               format_integer(record.sequence_length), *steps);
  }
  if (!least) return "";
  return fmt::format("  {} warm-up step{} each, not counted.\n", range(*least, *most), *most == 1 ? "" : "s") +
         unsettled;
}

/// What the columns mean and what they rest on.
std::string footnotes(std::span<const ResultRecord> records) {
  std::string notes = warm_up_footnote(records);
  std::optional<double> least_peak, most_peak;
  bool bounded = false;
  for (const ResultRecord& record : records) {
    bounded = bounded || record.bound;
    const auto& peak = record.mfu.peak_sgemm_gflops;
    if (!peak) continue;
    least_peak = least_peak ? std::min(*least_peak, *peak) : *peak;
    most_peak = most_peak ? std::max(*most_peak, *peak) : *peak;
  }
  if (!notes.empty()) notes = "  ±: half of the 95 % interval of the median step time (bootstrap).\n" + notes;
  if (least_peak)
    notes += fmt::format("  MFU: of {:.0f}{} GFLOP/s, sgemm on all threads beside the steps.\n", *least_peak,
                         *most_peak - *least_peak < 1 ? "" : fmt::format(" to {:.0f}", *most_peak));
  if (bounded)
    notes +=
        "  bound: what the step's products, exponentials and random draws would take, each at the speed of its kind in "
        "cache, over the time of the step.\n";
  return notes;
}

/// For windows that the table does not fit in.
std::string blocks(std::span<const ResultRecord> records, int width) {
  std::string text;
  for (const ResultRecord& record : records) {
    const BenchRow row = bench_row(record);
    Page page(width);
    page.row(row.name, fmt::format("n = {}, {}, batch {}", row.length, row.mode, row.batch));
    page.row("  steps/s", fmt::format("{} (± {})", row.steps, row.spread));
    page.row("  tokens/s", row.tokens);
    page.row("  MFU", row.mfu);
    page.row("  bound", row.bound);
    page.row("  arena", row.arena);
    text += page.text();
  }
  return text;
}

}  // namespace

std::string bench_table(std::span<const ResultRecord> records, int width) {
  const std::string notes = fit(footnotes(records), std::min(width, kTextWidth));
  if (width < kLeastTableWidth) return blocks(records, width) + notes;
  std::vector<BenchRow> rows = {
      {"attention", "n", "mode", "batch", "steps/s", "±", "tokens/s", "MFU", "bound", "arena"}};
  for (const ResultRecord& record : records) rows.push_back(bench_row(record));
  size_t name_width = 0;
  for (const BenchRow& row : rows) name_width = std::max(name_width, row.name.size());
  name_width = std::min(name_width, static_cast<size_t>(std::max(kLeastNameWidth, width - kOtherColumns)));
  std::string table;
  for (const BenchRow& row : rows) {
    const std::string name = row.name.size() > name_width ? row.name.substr(0, name_width - 1) + "~" : row.name;
    // A long word instead of a speed takes both columns.
    const bool word = row.steps.size() > 7;
    const std::string speed =
        word ? fmt::format("{:>15}", row.steps) : fmt::format("{:>8}{:>7}", row.steps, row.spread);
    table += fmt::format("{:<{}}{:>8}{:>6}{:>6}{}{:>9}{:>7}{:>6}{:>10}\n", name, name_width, row.length, row.mode,
                         row.batch, speed, row.tokens, row.mfu, row.bound, row.arena);
  }
  return table + notes;
}

}  // namespace lra::reports
