#include "reports/text_report.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "reports/page.h"
#include "reports/units.h"

namespace lra::reports {
namespace {

std::string spoken(std::string_view name) {
  std::string words(name);
  std::replace(words.begin(), words.end(), '_', ' ');
  return words;
}

/// The parts that are known, "name value" each, joined by commas.
template <class Format>
std::string known(const std::vector<std::pair<std::string_view, std::optional<double>>>& parts, Format format) {
  std::vector<std::string> shown;
  for (const auto& [name, value] : parts) {
    if (value) shown.push_back(fmt::format("{} {}", name, format(*value)));
  }
  return fmt::format("{}", fmt::join(shown, ", "));
}

std::string three_decimals(double value) { return fmt::format("{:.3f}", value); }

/// "above", "at" or "below" a baseline, judged by the interval of the test accuracy.
std::string_view standing(const AccuracyBlock& accuracy, double baseline) {
  const double low = accuracy.wilson95 ? (*accuracy.wilson95)[0] : *accuracy.test;
  const double high = accuracy.wilson95 ? (*accuracy.wilson95)[1] : *accuracy.test;
  return low > baseline ? "above" : high < baseline ? "below" : "at";
}

void accuracy_rows(const ResultRecord& record, Page& page) {
  const AccuracyBlock& accuracy = record.accuracy;
  if (accuracy.test) {
    std::string text = "test " + format_percent(*accuracy.test);
    if (accuracy.wilson95) {
      text +=
          fmt::format(" [{:.2f}, {:.2f}] 95 % Wilson", 100 * (*accuracy.wilson95)[0], 100 * (*accuracy.wilson95)[1]);
    }
    if (accuracy.test_correct && accuracy.test_total) {
      text += fmt::format(", {} of {}", format_integer(*accuracy.test_correct), format_integer(*accuracy.test_total));
    }
    page.row("Accuracy", text);
    if (record.task.majority_baseline) {
      page.row("", fmt::format("majority class {}: {}", format_percent(*record.task.majority_baseline),
                               standing(accuracy, *record.task.majority_baseline)));
    }
    for (const auto& [name, baseline] : record.task.shortcut_baselines) {
      page.row("",
               fmt::format("{} shortcut {}: {}", spoken(name), format_percent(baseline), standing(accuracy, baseline)));
    }
  }
  std::string others = known({{"validation", accuracy.validation}, {"train", accuracy.train}}, format_percent);
  if (!others.empty() && record.selection) {
    others += fmt::format("; tested the {} checkpoint", *record.selection == "last" ? "last" : "best validation");
    if (record.best_step) others += fmt::format(", step {}", format_integer(*record.best_step));
  }
  page.row(accuracy.test ? "" : "Accuracy", others);
  page.row("Loss",
           known({{"train", record.loss.train}, {"validation", record.loss.validation}, {"test", record.loss.test}},
                 three_decimals));
}

std::string step_times(std::string_view mode, const std::optional<StepTimeBlock>& times) {
  if (!times) return "";
  return fmt::format("{} step p50 {}, p90 {}, p99 {}", mode, format_duration_s(times->p50 / 1e3),
                     format_duration_s(times->p90 / 1e3), format_duration_s(times->p99 / 1e3));
}

std::string rate(std::string_view mode, const std::optional<double>& steps, const std::optional<double>& tokens) {
  if (!steps) return "";
  std::string text = fmt::format("{} {} steps/s", mode, format_scaled(*steps));
  if (tokens) text += fmt::format(", {} tokens/s", format_scaled(*tokens));
  return text;
}

std::string phases(const PhaseBlock& phase) {
  const std::pair<std::string_view, double> parts[] = {{"data", phase.data},
                                                       {"forward", phase.forward},
                                                       {"backward", phase.backward},
                                                       {"optimizer", phase.optimizer},
                                                       {"eval", phase.eval}};
  double total_s = 0;
  for (const auto& [name, seconds] : parts) total_s += seconds;
  if (!(total_s > 0)) return "";
  std::vector<std::string> shown;
  for (const auto& [name, seconds] : parts) {
    shown.push_back(fmt::format("{} {} ({:.0f} %)", name, format_duration_s(seconds), 100 * seconds / total_s));
  }
  return fmt::format("{}", fmt::join(shown, ", "));
}

void speed_rows(const ResultRecord& record, Page& page) {
  const SpeedBlock& speed = record.speed;
  const std::string train = rate("train", speed.train_steps_per_s, speed.train_tokens_per_s);
  page.row("Speed", train);
  page.row(train.empty() ? "Speed" : "", rate("infer", speed.infer_steps_per_s, speed.infer_tokens_per_s));
  std::string details = known({{"executed tokens/s", speed.executed_tokens_per_s}}, format_scaled);
  if (record.executed_length.mean) {
    details += fmt::format("{}mean executed length {:.0f}", details.empty() ? "" : ", ", *record.executed_length.mean);
  }
  if (speed.batch_size && !details.empty()) details += fmt::format(", batch {}", format_integer(*speed.batch_size));
  page.row("", details);
  page.row("", step_times("train", speed.train_step_ms));
  page.row("", step_times("infer", speed.infer_step_ms));
  if (speed.phase_s) page.row("Phases", phases(*speed.phase_s));
  std::string mfu = known({{"train", record.mfu.train}, {"infer", record.mfu.infer}}, format_percent);
  if (!mfu.empty() && record.mfu.peak_sgemm_gflops) {
    mfu += fmt::format(", of {:.0f} GFLOP/s measured beside the steps", *record.mfu.peak_sgemm_gflops);
  }
  page.row("MFU", mfu);
}

std::string memory_text(const MemoryBlock& memory) {
  const auto as_double = [](const std::optional<std::int64_t>& bytes) {
    return bytes ? std::optional<double>(static_cast<double>(*bytes)) : std::nullopt;
  };
  return known({{"forecast arena", as_double(memory.forecast_arena_bytes)},
                {"peak arena", as_double(memory.peak_arena_bytes)},
                {"lane gradients", as_double(memory.lane_gradient_bytes)},
                {"scratch", as_double(memory.scratch_bytes)},
                {"peak resident", as_double(memory.peak_rss_bytes)}},
               [](double bytes) { return format_bytes(static_cast<std::int64_t>(bytes)); });
}

void model_rows(const ResultRecord& record, Page& page) {
  const ModelBlock& model = record.model;
  std::string text = fmt::format("{} layer{}, d_model {}, {} head{} of {}, ffn {}; {} parameters", model.layers,
                                 model.layers == 1 ? "" : "s", model.d_model, model.heads, model.heads == 1 ? "" : "s",
                                 model.d_head, model.d_ffn, format_integer(model.parameters));
  if (model.parameters_ratio_to_softmax) {
    text += fmt::format(" ({:.3f} x softmax)", *model.parameters_ratio_to_softmax);
  }
  page.row("Model", text);
  if (record.initial_weights)
    page.row("", fmt::format("started from {} (SHA-256 {})", record.initial_weights->path,
                             record.initial_weights->sha256.substr(0, 12)));
  if (record.attention.plugin)
    page.row("", fmt::format("{} from {} (SHA-256 {})", record.attention.name, record.attention.plugin->file,
                             record.attention.plugin->sha256.substr(0, 12)));
  page.row("",
           record.attention.parameters.empty() ? "" : record.attention.name + " " + record.attention.parameters.dump());
}

void environment_rows(const ResultRecord& record, Page& page) {
  std::string run = fmt::format("{} thread{}, {} lanes", record.threads, record.threads == 1 ? "" : "s", record.lanes);
  if (record.wall_s) run = fmt::format("{}, {}", format_duration_s(*record.wall_s), run);
  if (record.config_hash) run += ", configuration " + *record.config_hash;
  page.row("Run", run);
  const EnvironmentBlock& environment = record.environment;
  page.row("Environment",
           fmt::format("{}, {} core{}, {}{}, oneDNN {}, Eigen {}, {}, lra {} ({})", environment.cpu, environment.cores,
                       environment.cores == 1 ? "" : "s", environment.isa,
                       environment.kernel_isa ? fmt::format(" (kernels {})", *environment.kernel_isa) : "",
                       environment.onednn, environment.eigen, environment.compiler, environment.lra_version,
                       environment.git_commit.substr(0, 12)));
}

}  // namespace

std::string verdict(const ResultRecord& record) {
  if (!record.accuracy.test) return "not tested";
  std::vector<std::string> parts;
  if (record.task.majority_baseline) {
    parts.push_back(fmt::format("{} the majority class", standing(record.accuracy, *record.task.majority_baseline)));
  }
  for (const auto& [name, baseline] : record.task.shortcut_baselines) {
    parts.push_back(fmt::format("{} the {} shortcut", standing(record.accuracy, baseline), spoken(name)));
  }
  return parts.empty() ? "no baseline to compare with" : fmt::format("{}", fmt::join(parts, ", "));
}

std::string run_report(const ResultRecord& record, int width) {
  Page page(width);
  page.row("Result", fmt::format("{}: {}, {} attention, {} preset, n = {}, seed {}", spoken(to_string(record.status)),
                                 record.task.name, record.attention.name, record.preset,
                                 format_integer(record.sequence_length), record.seed));
  page.rule();
  if (record.kind == RunKind::kTrain) page.row("Verdict", verdict(record));
  if (const auto source = record.task.dataset_parameters.find("source_name");
      source != record.task.dataset_parameters.end() && source->is_string())
    page.row("Data", source->get<std::string>());
  accuracy_rows(record, page);
  speed_rows(record, page);
  page.row("Memory", memory_text(record.memory));
  model_rows(record, page);
  environment_rows(record, page);
  for (size_t i = 0; i < record.notes.size(); ++i) page.row(i == 0 ? "Notes" : "", "- " + record.notes[i]);
  return page.text();
}

}  // namespace lra::reports
