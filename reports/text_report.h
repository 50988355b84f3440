// The report people read: one finished run, or a table of bench cells, as plain text.
#pragma once

#include <span>
#include <string>

#include "reports/record.h"

namespace lra::reports {

inline constexpr int kTextWidth = 80;
inline constexpr int kProfileWidth = 110;

/// How the test accuracy stands to the baselines, in words: "above the majority class, at the root operator shortcut".
/// "at" means that the 95 % interval holds the baseline. "not tested" without a test accuracy.
std::string verdict(const ResultRecord& record);

/// All a run has to say, at most `width` columns wide. Rows of which nothing is known are left out.
std::string run_report(const ResultRecord& record, int width = kTextWidth);

/// One row a record in the order given: attention, n, mode, batch, steps/s with its uncertainty, tokens/s, MFU, the
/// share of the bound, arena bytes; then footnotes that say what these are. Names that are too long for `width` columns
/// are cut, with "~"; where the table does not fit at all, each record is a block of lines.
std::string bench_table(std::span<const ResultRecord> records, int width = kTextWidth);

/// The profile of one record: a row for each group of kernels, then what lies outside of them and their sums. Empty
/// when the record has none. Names that are too long for `width` columns are cut, with "~"; below 100 columns, those
/// that matter least are left out.
std::string profile_table(const ResultRecord& record, int width = kProfileWidth);

}  // namespace lra::reports
