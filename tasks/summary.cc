#include "tasks/summary.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace lra::tasks {
namespace {

using nlohmann::ordered_json;

/// `sorted` is not empty.
double quantile(const std::vector<int64_t>& sorted, double fraction) {
  const double at = fraction * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(at);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  const auto low = static_cast<double>(sorted[below]);
  return low + (at - static_cast<double>(below)) * (static_cast<double>(sorted[above]) - low);
}

double share(int64_t part, int64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

std::string source_line(const Manifest& manifest) {
  std::string line = manifest.source.kind == "generate" ? "generated" : "imported";
  if (manifest.seed) line += fmt::format(", seed {}", *manifest.seed);
  for (const auto& [name, value] : manifest.parameters) {
    std::visit([&, &key = name](const auto& plain) { line += fmt::format(", {} {}", key, plain); }, value);
  }
  return line;
}

constexpr int kColumnWidth = 10;

/// The name of a label in brackets where the data give one, for the end of a line.
std::string label_name(const Manifest& manifest, int label) {
  return manifest.class_names.empty() ? "" : fmt::format("  ({})", manifest.class_names[static_cast<size_t>(label)]);
}

/// A row of the table: what, and its value in each split.
template <class Value>
std::string split_row(const std::string& name, const std::vector<SplitSummary>& splits, const Value& value) {
  std::string row = fmt::format("{:<10}", name);
  for (const SplitSummary& split : splits) row += fmt::format(" {:>{}}", value(split), kColumnWidth);
  return row + "\n";
}

ordered_json split_json(const SplitSummary& summary) {
  ordered_json quantiles;
  for (size_t q = 0; q < kLengthQuantiles.size(); ++q) {
    quantiles[fmt::format("{}", kLengthQuantiles[q])] = summary.length_quantiles_tokens[q];
  }
  std::vector<double> shares;
  for (const int64_t count : summary.label_counts) shares.push_back(share(count, summary.examples));
  return {{"examples", summary.examples},
          {"tokens", summary.tokens},
          {"mean_length_tokens", summary.mean_length_tokens},
          {"length_quantiles_tokens", quantiles},
          {"label_counts", summary.label_counts},
          {"label_shares", shares}};
}

}  // namespace

SplitSummary summarize(const Split& split, int num_classes) {
  SplitSummary summary;
  summary.examples = split.size();
  summary.tokens = split.total_tokens();
  summary.label_counts.resize(static_cast<size_t>(num_classes), 0);
  std::vector<int64_t> lengths;
  for (int64_t i = 0; i < split.size(); ++i) {
    ++summary.label_counts[static_cast<size_t>(split.label(i))];
    for (int input = 0; input < split.inputs_per_example(); ++input) lengths.push_back(split.length(i, input));
  }
  if (lengths.empty()) return summary;
  summary.mean_length_tokens = share(summary.tokens, static_cast<int64_t>(lengths.size()));
  std::sort(lengths.begin(), lengths.end());
  for (size_t q = 0; q < kLengthQuantiles.size(); ++q) {
    summary.length_quantiles_tokens[q] = quantile(lengths, kLengthQuantiles[q]);
  }
  return summary;
}

std::string summary_table(const Task& task, const Dataset& dataset) {
  const Manifest& manifest = dataset.manifest();
  std::vector<SplitSummary> splits;
  std::string table = fmt::format("{:<10}", "split");
  for (const SplitName name : kSplitNames) {
    splits.push_back(summarize(dataset.split(name), dataset.num_classes()));
    table += fmt::format(" {:>{}}", split_text(name), kColumnWidth);
  }
  table += "\n";
  table += split_row("examples", splits, [](const SplitSummary& split) { return fmt::format("{}", split.examples); });
  table += split_row("tokens", splits, [](const SplitSummary& split) { return fmt::format("{}", split.tokens); });
  table +=
      split_row("mean n", splits, [](const SplitSummary& s) { return fmt::format("{:.1f}", s.mean_length_tokens); });
  const auto quantile_name = [](double fraction) {
    return fraction == 0 ? "min n" : fraction == 1 ? "max n" : fmt::format("{:.0f} %", 100 * fraction);
  };
  for (size_t q = 0; q < kLengthQuantiles.size(); ++q)
    table += split_row(quantile_name(kLengthQuantiles[q]), splits, [q](const SplitSummary& split) {
      return fmt::format("{:.0f}", split.length_quantiles_tokens[q]);
    });
  table += "\n";
  for (int label = 0; label < dataset.num_classes(); ++label) {
    table += split_row(fmt::format("label {}", label), splits, [label](const SplitSummary& split) {
      return fmt::format("{:.2f} %", 100 * share(split.label_counts[static_cast<size_t>(label)], split.examples));
    });
    table.insert(table.size() - 1, label_name(manifest, label));
  }
  std::string text = fmt::format("{} in {}\n{}; {} classes, vocabulary {}, nominal length {} tokens\n\n{}\n",
                                 task.facts().full_name, dataset.directory().string(), source_line(manifest),
                                 dataset.num_classes(), dataset.vocab_size(), manifest.nominal_length, table);
  for (const ShortcutBaseline& baseline : task.shortcut_baselines(dataset)) {
    text += fmt::format("shortcut {:<14} {:>6.2f} % of test: {}\n", baseline.name, 100 * baseline.accuracy,
                        baseline.explanation);
  }
  text += fmt::format("\n{} bytes on disk; dataset_sha256 {}\n", dataset.disk_bytes(), manifest.dataset_sha256);
  for (const auto& [name, file] : manifest.arrays) text += fmt::format("{}  {}\n", file.sha256, name);
  return text;
}

std::string summary_json(const Task& task, const Dataset& dataset) {
  ordered_json json = ordered_json::parse(manifest_text(dataset.manifest()));
  for (const SplitName name : kSplitNames) {
    json["summary"][std::string(split_text(name))] = split_json(summarize(dataset.split(name), dataset.num_classes()));
  }
  json["shortcut_baselines"] = ordered_json::object();
  for (const ShortcutBaseline& baseline : task.shortcut_baselines(dataset)) {
    json["shortcut_baselines"][baseline.name] = baseline.accuracy;
  }
  json["disk_bytes"] = dataset.disk_bytes();
  json["directory"] = dataset.directory().string();
  return json.dump(2) + "\n";
}

}  // namespace lra::tasks
