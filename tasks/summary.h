// What `lra data info` tells of a dataset: lengths, label shares, shortcut baselines, sizes and hashes.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "tasks/dataset.h"
#include "tasks/task.h"

namespace lra::tasks {

inline constexpr std::array<double, 7> kLengthQuantiles{0, 0.05, 0.25, 0.5, 0.75, 0.95, 1};

struct SplitSummary {
  int64_t examples = 0;
  int64_t tokens = 0;
  double mean_length_tokens = 0;
  std::array<double, kLengthQuantiles.size()> length_quantiles_tokens{};  // linear between order statistics, as NumPy
  std::vector<int64_t> label_counts;                                      // by class
};

SplitSummary summarize(const Split& split, int num_classes);

/// A table for people; ends with a line feed.
std::string summary_table(const Task& task, const Dataset& dataset);

/// The same as JSON (keys of dataset.json, and `summary`, `shortcut_baselines`, `disk_bytes`, `directory`).
std::string summary_json(const Task& task, const Dataset& dataset);

}  // namespace lra::tasks
