// lra bench: steps/s, tokens/s, MFU and memory of mechanisms over sequence lengths.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "engine/errors.h"
#include "engine/io/file.h"
#include "harness/bench.h"
#include "harness/commands/command.h"
#include "harness/commands/options.h"
#include "harness/environment.h"
#include "harness/noise.h"
#include "harness/progress.h"
#include "harness/signals.h"
#include "harness/terminal.h"
#include "reports/text_report.h"

namespace lra::harness {
namespace {

struct BenchFlags {
  std::string task, preset;
  std::vector<std::string> attentions, assignments;
  std::vector<int64_t> lengths;
  std::string mode = "train", json, profile_by = "operation", trace;
  bool profile = false;
  std::optional<int64_t> batch;
  std::optional<double> dropout;
  BenchOptions options;
  MachineFlags machine;
};

std::vector<ResolvedConfig> configurations(const BenchFlags& flags, int64_t length) {
  std::vector<ResolvedConfig> resolved;
  for (const std::string& attention : flags.attentions) {
    ConfigRequest request{.task = flags.task.empty() ? default_task() : flags.task,
                          .attention = attention,
                          .preset = flags.preset,
                          .assignments = flags.assignments,
                          .sequence_length = length};
    if (flags.batch) request.assignments.push_back(fmt::format("train.batch_size={}", *flags.batch));
    if (flags.dropout) {
      request.assignments.push_back(fmt::format("model.dropout={}", *flags.dropout));
      request.assignments.push_back(fmt::format("model.attention_dropout={}", *flags.dropout));
    }
    check_names(request);
    resolved.push_back(resolve_config(request));
    complete_attention_parameters(resolved.back().config);
    check_attention(resolved.back().config);
  }
  return resolved;
}

constexpr auto kProfileNames = names_of(ProfileBy{});

int run_bench(BenchFlags& flags) {
  flags.options.mode = flags.mode == "train" ? Mode::train : Mode::infer;
  flags.options.threads = flags.machine.thread_count();
  flags.options.memory_limit_bytes = flags.machine.memory_limit_bytes();
  for (const int64_t length : flags.lengths)
    if (length < 1)
      throw UsageError(fmt::format("[bench] --length {} is below 1", length), "for example --length 1024,4096");
  // Everything is resolved, hence checked, before the first measurement.
  std::vector<std::vector<ResolvedConfig>> rounds;
  for (const int64_t length : flags.lengths) rounds.push_back(configurations(flags, length));

  if (!std::isfinite(flags.options.min_time_s))
    throw UsageError(fmt::format("[bench] --min-time-s {} is not finite", flags.options.min_time_s), "for example 2");
  if (flags.profile)
    flags.options.profile_by = static_cast<ProfileBy>(
        std::find(kProfileNames.begin(), kProfileNames.end(), flags.profile_by) - kProfileNames.begin());
  Trace trace;
  if (!flags.trace.empty()) flags.options.trace = &trace;
  if (flags.json != "-") require_writable(flags.json);
  require_writable(flags.trace);
  flags.options.machine_warnings = machine_warnings(flags.options.threads, affinity_cpus());
  for (const std::string& warning : flags.options.machine_warnings) log_line("warning: " + warning);

  catch_interrupts();
  std::vector<reports::ResultRecord> records;
  nlohmann::ordered_json results = nlohmann::ordered_json::array();
  for (const std::vector<ResolvedConfig>& round : rounds) {
    log_line(fmt::format("measuring n = {}", round.front().config.sequence_length));
    for (reports::ResultRecord& record : bench(round, flags.options, [] { return interrupted_by() != 0; })) {
      results.push_back(reports::to_json(record));
      records.push_back(std::move(record));
    }
    if (!flags.json.empty() && flags.json != "-")  // after each length: an interrupted sweep keeps what it has
      io::write_file_atomically(flags.json, nlohmann::ordered_json{{"results", results}}.dump(2) + "\n");
    if (!flags.trace.empty()) io::write_file_atomically(flags.trace, trace.json().dump() + "\n");
    if (interrupted_by() != 0) return exit_code_of(interrupted_by());
  }
  if (flags.json == "-") {
    std::cout << nlohmann::ordered_json{{"results", results}}.dump(2) << "\n";
  } else {
    std::cout << reports::bench_table(records, table_width());
    for (const reports::ResultRecord& record : records)
      if (record.profile)
        std::cout << "\n" << reports::profile_table(record, columns(STDOUT_FILENO, reports::kProfileWidth));
  }
  return kExitOk;
}

}  // namespace

void add_bench_command(CLI::App& app, int& exit_code) {
  const auto flags = std::make_shared<BenchFlags>();
  CLI::App* command = app.add_subcommand("bench", "measure speed and memory on full-length random sequences");
  command->add_option("--attention", flags->attentions, "mechanisms, comma-separated; measured interleaved")
      ->type_name(kMechanismType)
      ->required()
      ->delimiter(',');
  command->add_option("--length", flags->lengths, "sequence lengths, comma-separated")
      ->type_name(kCountType)
      ->required()
      ->delimiter(',');
  add_choice(*command, "--mode", flags->mode, {"train", "infer"},
             "train (forward, backward, clipping, optimiser) or infer")
      ->capture_default_str();
  command->add_option("--task", flags->task, "task whose shape is used (default: text, or the first there is)")
      ->type_name(kTaskType);
  command->add_option("--preset", flags->preset, "preset (default: small)")->type_name(kPresetType);
  command->add_option("--batch", flags->batch, "sequences in a step (default: the preset's)")->type_name(kCountType);
  command->add_option("--dropout", flags->dropout, "all dropout rates; 0 to compare with programs that have none")
      ->type_name(kNumberType);
  command->add_option("--set", flags->assignments, "any key of `lra train --help-config`, repeatable")
      ->type_name(kKeyValueType)
      ->expected(1)
      ->take_all();
  command
      ->add_option("--warmup-steps", flags->options.warmup_steps,
                   "steps before the timed ones (default: until their times settle, 10 s or 30 steps at most)")
      ->type_name(kCountType)
      ->check(CLI::Range(0, 1000).description(""));
  command->add_option("--min-steps", flags->options.min_steps, "timed steps at least")
      ->type_name(kCountType)
      ->capture_default_str()
      ->check(CLI::Range(1, 1000000).description(""));
  command->add_option("--min-time-s", flags->options.min_time_s, "timed seconds at least")
      ->type_name(kNumberType)
      ->capture_default_str()
      ->check(CLI::Range(0.0, 1e6).description(""));
  flags->machine.add_to(*command);
  add_plugin_flag(*command);
  command->add_option("--json", flags->json, "write the records to this file (- for standard output)")
      ->type_name(kFileType);
  const CLI::Option* profile =
      command->add_flag("--profile", flags->profile, "after the timed steps, profile every kernel and print a table");
  const CLI::Option* profile_by = add_choice(*command, "--profile-by", flags->profile_by,
                                             {kProfileNames.begin(), kProfileNames.end()}, "rows of the profile")
                                      ->capture_default_str();
  const CLI::Option* trace =
      command
          ->add_option("--trace", flags->trace,
                       "write the profile's time line here, for ui.perfetto.dev or chrome://tracing")
          ->type_name(kFileType);
  command->footer(
      "Steps of all mechanisms are interleaved, with bursts of sgemm beside them as the yardstick of the MFU.\n"
      "What disturbed them (other load, throttling, drift) is warned of on standard error and noted in the\n"
      "records. Columns are explained under the table.\n\n"
      "Example:\n  lra bench --attention softmax,cosformer --length 1024,4096 --json bench.json\n"
      "  lra bench --attention cosformer --length 4096 --profile --profile-by scope\n"
      "  lra bench --attention cosformer --length 4096 --trace trace.json\n"
      "  lra bench --attention linear --length 1024 --mode infer --warmup-steps 10 --min-steps 50");
  command->callback([flags, profile, profile_by, trace, &exit_code] {
    flags->profile = *profile || *profile_by || *trace;
    exit_code = run_bench(*flags);
  });
}

}  // namespace lra::harness
