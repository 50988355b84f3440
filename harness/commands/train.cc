// lra train: one run of one configuration, resumable, into its run directory.
#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "harness/commands/command.h"
#include "harness/commands/options.h"
#include "harness/dry_run.h"
#include "harness/model/model.h"
#include "harness/progress.h"
#include "harness/signals.h"
#include "harness/terminal.h"
#include "harness/trainer.h"
#include "reports/page.h"
#include "reports/text_report.h"
#include "tasks/location.h"
#include "tasks/registry.h"

namespace lra::harness {
namespace {

struct TrainFlags {
  ConfigFlags config;
  MachineFlags machine;
  std::string data;
  std::string out = "runs";
  bool resume = false;
  bool force = false;
  bool json = false;
  bool help_config = false;
  bool dry_run = false;
  std::string init_from;
};

/// Users' own data have a length, which no preset knows: that of an image, or of the longest text up to the length of
/// the benchmark's. 0 for other tasks.
int64_t length_of_own_data(const std::string& name, const std::filesystem::path& data_dir) {
  if (name.empty()) return 0;
  const tasks::TaskFacts& facts = tasks::task_named(name).facts();
  if (facts.num_classes > 0) return 0;
  const int64_t longest = tasks::Dataset::open(data_dir, facts.name).manifest().nominal_length;
  return facts.image ? longest : std::min(longest, facts.nominal_length);
}

void check_task(const ResolvedConfig& resolved, const tasks::Dataset& dataset) {
  const int64_t longest = dataset.manifest().nominal_length;
  if (resolved.config.sequence_length < longest)
    log_line(fmt::format("note: sequences of up to {} tokens are cut to {}", longest, resolved.config.sequence_length));
}

int run_train(const TrainFlags& flags) {
  if (flags.help_config) {
    std::cout << reports::fit(config_help(), table_width());
    return kExitOk;
  }
  ConfigRequest request = flags.config.value();
  request.init_from = flags.init_from;
  const std::filesystem::path data_dir = tasks::data_directory(flags.data);
  if (!request.sequence_length) request.data_length = length_of_own_data(request.task, data_dir);
  const ResolvedConfig resolved = resolve_config(request);
  tasks::task_named(resolved.config.task.name);  // a configuration file may name another
  check_attention(resolved.config);              // before the data are opened
  const tasks::Dataset dataset = tasks::Dataset::open(data_dir, resolved.config.task.name);
  check_task(resolved, dataset);
  const TrainOptions options = {.out = flags.out,
                                .threads = flags.machine.thread_count(),
                                .resume = flags.resume,
                                .force = flags.force,
                                .memory_limit_bytes = flags.machine.memory_limit_bytes()};
  if (flags.dry_run) {
    const DryRun run = dry_run(resolved, dataset, options);
    std::cout << (flags.json ? to_json(run).dump(2) + "\n" : dry_run_report(run, report_width()));
    return kExitOk;
  }
  const TrainOutcome outcome = train(resolved, dataset, options);
  if (outcome.signal != 0) {
    log_line(fmt::format("interrupted after a checkpoint in {}; go on with the same command and --resume",
                         outcome.directory.string()));
    return exit_code_of(outcome.signal);
  }
  std::cout << (flags.json ? reports::to_json(outcome.record).dump(2) + "\n"
                           : reports::run_report(outcome.record, report_width()));
  std::cout << std::flush;
  log_line(fmt::format("run directory: {}", outcome.directory.string()));
  return outcome.record.status == reports::RunStatus::kDiverged ? kExitRunFailed : kExitOk;
}

}  // namespace

void add_train_command(CLI::App& app, int& exit_code) {
  const auto flags = std::make_shared<TrainFlags>();
  CLI::App* command = app.add_subcommand("train", "train and test one configuration, with record and checkpoints");
  flags->config.add_to(*command);
  flags->machine.add_to(*command);
  add_plugin_flag(*command);
  add_data_flag(*command, flags->data);
  command->add_option("--out", flags->out, "where run directories go")
      ->type_name(kDirectoryType)
      ->capture_default_str();
  CLI::Option* resume = command->add_flag("--resume", flags->resume, "go on from the last checkpoint, bit for bit");
  command->add_flag("--force", flags->force, "start afresh where a run already is")->excludes(resume);
  command
      ->add_option("--init-from", flags->init_from,
                   "start from the weights of this run directory or safetensors file, with a fresh optimiser")
      ->type_name(kPathType);
  command->add_flag("--dry-run", flags->dry_run,
                    "show what would run: configuration, data, memory, time; train and write nothing");
  command->add_flag("--json", flags->json, "print the record (or the dry run) as JSON instead of the report");
  command->add_flag("--help-config", flags->help_config, "list every configuration key and exit");
  command->footer(
      "Later sources win: the preset, --config, --set, then --length, --seed and --init-from. A run's config.json\n"
      "given to --config repeats the run.\n\n"
      "Example:\n  lra train --task listops --attention cosformer --preset small --data DIR\n"
      "  lra train --task listops --attention softmax --preset tiny --data DIR --dry-run\n"
      "  lra train --task listops --attention softmax --data DIR --set train.steps=300 --set train.eval_every=100\n"
      "  lra train --config RUN/config.json --data DIR --seed 1\n"
      "  lra train --config RUN/config.json --data DIR --init-from RUN --set train.steps=200");
  command->callback([flags, &exit_code] { exit_code = run_train(*flags); });
}

}  // namespace lra::harness
