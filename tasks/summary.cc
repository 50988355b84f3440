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

std::string percent_row(const std::string& name, const std::vector<int64_t>& counts, int64_t examples) {
  std::string row = fmt::format("{:<12}", name);
  for (const int64_t count : counts) row += fmt::format(" {:>6.2f}", 100 * share(count, examples));
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
  std::string lengths = fmt::format("{:<12} {:>9} {:>12} {:>8} {:>7} {:>7} {:>7} {:>7} {:>7} {:>7} {:>7}\n", "split",
                                    "examples", "tokens", "mean", "min", "5 %", "25 %", "50 %", "75 %", "95 %", "max");
  std::string labels = fmt::format("{:<12}", "label (%)");
  for (int label = 0; label < dataset.num_classes(); ++label) labels += fmt::format(" {:>6}", label);
  labels += "\n";
  for (const SplitName name : kSplitNames) {
    const SplitSummary summary = summarize(dataset.split(name), dataset.num_classes());
    lengths += fmt::format("{:<12} {:>9} {:>12} {:>8.1f}", split_text(name), summary.examples, summary.tokens,
                           summary.mean_length_tokens);
    for (const double tokens : summary.length_quantiles_tokens) lengths += fmt::format(" {:>7.0f}", tokens);
    lengths += "\n";
    labels += percent_row(std::string(split_text(name)), summary.label_counts, summary.examples);
  }
  std::string text = fmt::format("{} in {}\n{}; {} classes, vocabulary {}, nominal length {} tokens\n\n{}\n{}\n",
                                 task.facts().full_name, dataset.directory().string(), source_line(manifest),
                                 dataset.num_classes(), dataset.vocab_size(), manifest.nominal_length, lengths, labels);
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
