#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "reports/text_report.h"
#include "reports/units.h"

namespace lra::reports {
namespace {

struct BenchRow {
  std::string name, length, mode, batch, steps, tokens, mfu, arena;
};

BenchRow bench_row(const ResultRecord& record) {
  const bool trains = record.speed.train_steps_per_s.has_value() || !record.speed.infer_steps_per_s.has_value();
  const auto& steps = trains ? record.speed.train_steps_per_s : record.speed.infer_steps_per_s;
  const auto& tokens = trains ? record.speed.train_tokens_per_s : record.speed.infer_tokens_per_s;
  const auto& mfu = trains ? record.mfu.train : record.mfu.infer;
  const auto& bytes =
      record.memory.peak_arena_bytes ? record.memory.peak_arena_bytes : record.memory.forecast_arena_bytes;
  BenchRow row;
  row.name = record.attention.name;
  row.length = format_integer(record.sequence_length);
  row.mode = record.status == RunStatus::kDoesNotFit ? "-" : trains ? "train" : "infer";
  row.batch = record.speed.batch_size ? format_integer(*record.speed.batch_size) : "-";
  row.steps = record.status == RunStatus::kDoesNotFit ? "too large" : steps ? format_scaled(*steps) : "-";
  row.tokens = tokens ? format_scaled(*tokens) : "-";
  row.mfu = mfu ? fmt::format("{:.1f} %", 100 * *mfu) : "-";
  row.arena = bytes ? format_bytes(*bytes) : "-";
  return row;
}

}  // namespace

std::string bench_table(std::span<const ResultRecord> records, int width) {
  std::vector<BenchRow> rows = {{"attention", "n", "mode", "batch", "steps/s", "tokens/s", "MFU", "arena"}};
  for (const ResultRecord& record : records) rows.push_back(bench_row(record));
  size_t name_width = 0;
  for (const BenchRow& row : rows) name_width = std::max(name_width, row.name.size());
  constexpr size_t kOtherColumns = 66;  // of the format below
  name_width = std::min(name_width, static_cast<size_t>(std::max(12, width - static_cast<int>(kOtherColumns))));
  std::string table;
  for (const BenchRow& row : rows) {
    const std::string name = row.name.size() > name_width ? row.name.substr(0, name_width - 1) + "~" : row.name;
    table += fmt::format("{:<{}}{:>9}{:>7}{:>7}{:>11}{:>10}{:>9}{:>13}\n", name, name_width, row.length, row.mode,
                         row.batch, row.steps, row.tokens, row.mfu, row.arena);
  }
  return table;
}

}  // namespace lra::reports
