// `lra data`: generates, imports, verifies, describes and exports prepared datasets. `lra data fetch` is in fetch.cc.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "engine/errors.h"
#include "harness/commands/command.h"
#include "harness/commands/options.h"
#include "harness/fetch/fetch.h"
#include "harness/progress.h"
#include "harness/signals.h"
#include "harness/terminal.h"
#include "reports/page.h"
#include "tasks/dataset.h"
#include "tasks/export.h"
#include "tasks/import_stage.h"
#include "tasks/location.h"
#include "tasks/registry.h"
#include "tasks/summary.h"

namespace lra::harness {
namespace {

using nlohmann::ordered_json;

/// The flags of all subcommands; each reads its own.
struct DataFlags {
  std::string task;
  std::string data;
  uint64_t seed = 0;
  int threads = 0;
  std::optional<int64_t> train;
  std::optional<int64_t> validation;
  std::optional<int64_t> test;
  std::vector<std::string> settings;
  bool force = false;
  std::string from;
  bool json = false;
  std::string split;
  std::string format;
  std::string output;
};

/// A progress bar that starts with the first report of a total, at what is done by then. From its construction on, a
/// signal stops the work at its next report.
class LazyProgress {
 public:
  LazyProgress(std::string label, std::string unit) : label_(std::move(label)), unit_(std::move(unit)) {
    catch_interrupts();
  }

  tasks::ProgressFn reporter() {
    return [this](uint64_t done, uint64_t total) {
      if (!bar_ && total > 0) bar_ = std::make_unique<Progress>(label_, total, unit_, done);
      if (bar_) bar_->update(done);
      stop_if_interrupted();
    };
  }

  void finish() {
    if (bar_) bar_->finish();
    bar_.reset();
  }

 private:
  std::string label_;
  std::string unit_;
  std::unique_ptr<Progress> bar_;
};

tasks::ParameterTexts parse_settings(const std::vector<std::string>& settings) {
  tasks::ParameterTexts texts;
  for (const std::string& setting : settings) {
    const size_t equals = setting.find('=');
    if (equals == std::string::npos || equals == 0) {
      throw UsageError(fmt::format("--set {} is not key=value", setting), "for example --set task.max_length=1000");
    }
    const std::string key = setting.substr(0, equals);
    if (!texts.emplace(key, setting.substr(equals + 1)).second) {
      throw UsageError(fmt::format("--set {} is given twice", key), "give each key once");
    }
  }
  return texts;
}

ordered_json dataset_json(const tasks::Dataset& dataset) {
  const tasks::SplitSizes& examples = dataset.manifest().examples;
  return {{"directory", dataset.directory().string()},
          {"task", dataset.manifest().task},
          {"train_examples", examples.train},
          {"validation_examples", examples.validation},
          {"test_examples", examples.test},
          {"disk_bytes", dataset.disk_bytes()},
          {"dataset_sha256", dataset.manifest().dataset_sha256}};
}

/// What was made, in one line a script can read, or as JSON.
void print_dataset(const DataFlags& flags, const tasks::Dataset& dataset) {
  if (flags.json) return print_result(dataset_json(dataset).dump(2) + "\n");
  const tasks::SplitSizes& examples = dataset.manifest().examples;
  print_result(fmt::format("{}: {} train, {} validation, {} test examples, {} bytes, dataset_sha256 {}\n",
                           dataset.directory().string(), examples.train, examples.validation, examples.test,
                           dataset.disk_bytes(), dataset.manifest().dataset_sha256));
}

void run_generate(const DataFlags& flags) {
  const tasks::Task& task = tasks::task_named(flags.task);
  const std::filesystem::path data_dir = tasks::data_directory(flags.data);
  const tasks::SplitSizes& defaults = task.facts().default_examples;
  const tasks::GenerateOptions options{.seed = flags.seed,
                                       .threads = flags.threads,
                                       .examples = {.train = flags.train.value_or(defaults.train),
                                                    .validation = flags.validation.value_or(defaults.validation),
                                                    .test = flags.test.value_or(defaults.test)},
                                       .parameters = parse_settings(flags.settings),
                                       .force = flags.force};
  LazyProgress progress(fmt::format("generate {}", flags.task), "examples");
  task.generate(options, data_dir, progress.reporter());
  progress.finish();
  print_dataset(flags, tasks::Dataset::open(data_dir, flags.task));
}

/// --from, else what `lra data fetch` has fetched. Throws: UsageError when that is not there.
std::filesystem::path import_source(const DataFlags& flags, const tasks::Task& task,
                                    const std::filesystem::path& data_dir) {
  if (!flags.from.empty()) return flags.from;
  std::filesystem::path fetched = require_fetched(task.facts().name, data_dir);
  log_line(fmt::format("import {}: from {}", task.facts().name, fetched.string()));
  return fetched;
}

void run_import(const DataFlags& flags) {
  const tasks::Task& task = tasks::task_named(flags.task);
  const std::filesystem::path data_dir = tasks::data_directory(flags.data);
  LazyProgress reading(fmt::format("import {}", flags.task), "bytes");
  LazyProgress writing(fmt::format("write {}", flags.task), "examples");
  const tasks::ProgressFn written = writing.reporter();
  const tasks::ImportOptions options{.from = import_source(flags, task, data_dir),
                                     .parameters = parse_settings(flags.settings),
                                     .force = flags.force,
                                     .note = log_line,
                                     .writing = [&](uint64_t done, uint64_t total) {
                                       reading.finish();
                                       written(done, total);
                                     }};
  task.import(options, data_dir, reading.reporter());
  writing.finish();
  print_dataset(flags, tasks::Dataset::open(data_dir, flags.task));
}

tasks::Dataset open_dataset(const DataFlags& flags) {
  return tasks::Dataset::open(tasks::data_directory(flags.data), tasks::task_named(flags.task).facts().name);
}

void run_verify(const DataFlags& flags) {
  const tasks::Dataset dataset = open_dataset(flags);
  LazyProgress progress(fmt::format("verify {}", flags.task), "bytes");
  dataset.verify(progress.reporter());
  progress.finish();
  if (flags.json) {
    ordered_json json = dataset_json(dataset);
    json["arrays_verified"] = dataset.manifest().arrays.size();
    return print_result(json.dump(2) + "\n");
  }
  print_result(fmt::format("{}: all {} arrays match dataset.json, dataset_sha256 {}\n", dataset.directory().string(),
                           dataset.manifest().arrays.size(), dataset.manifest().dataset_sha256));
}

/// For a dataset that is not there: what was fetched, and what to type next.
void require_dataset(const tasks::Task& task, const std::filesystem::path& data_dir) {
  const std::string& name = task.facts().name;
  std::error_code error;
  if (std::filesystem::exists(data_dir / name / tasks::kManifestFile, error)) return;
  const std::string fetched = fetch_status(name, data_dir);
  const bool was_stopped = tasks::stopped_import(data_dir, name).has_value();
  throw DataError(fmt::format("there is no prepared dataset of `{}` in `{}`{}{}", name, data_dir.string(),
                              fetched.empty() ? "" : "; " + fetched,
                              was_stopped ? "; an import was stopped, and goes on when it is started again" : ""),
                  fmt::format("{}", fmt::join(next_commands(name, data_dir), "   or   ")));
}

void run_info(const DataFlags& flags) {
  const tasks::Task& task = tasks::task_named(flags.task);
  require_dataset(task, tasks::data_directory(flags.data));
  const tasks::Dataset dataset = open_dataset(flags);
  print_result(flags.json ? tasks::summary_json(task, dataset)
                          : reports::fit(tasks::summary_table(task, dataset), table_width()));
}

void run_export(const DataFlags& flags) {
  const tasks::Task& task = tasks::task_named(flags.task);
  const tasks::SplitName split = tasks::parse_split(flags.split);
  const tasks::Dataset dataset = open_dataset(flags);
  LazyProgress progress(fmt::format("export {} {}", flags.task, flags.split), "examples");
  std::vector<std::string> written = {flags.output};
  if (flags.format == "tsv") {
    tasks::export_tsv(task, dataset, split, flags.output, progress.reporter());
  } else if (flags.format == "npy") {
    tasks::export_npy(dataset, split, flags.output, progress.reporter());
    written.push_back(tasks::labels_path(flags.output).string());
  } else {
    task.export_images(dataset, split, flags.output, progress.reporter());
  }
  progress.finish();
  if (flags.json) return print_result(ordered_json{{"written", written}}.dump(2) + "\n");
  print_result(fmt::format("{}\n", fmt::join(written, "\n")));
}

using Run = void (*)(const DataFlags&);

/// One subcommand with what they all share: TASK, --data, and running at the end of parsing.
CLI::App& add_subcommand(CLI::App& data, const std::shared_ptr<DataFlags>& flags, const char* name,
                         const char* description, const char* example, Run run, int& exit_code) {
  CLI::App& command = *data.add_subcommand(name, description);
  command.footer(std::string("Example:\n  ") + example);
  command.add_option("TASK", flags->task, "task, see `lra list tasks`")->type_name(kTaskType)->required();
  add_data_flag(command, flags->data);
  command.add_flag("--json", flags->json, "print JSON");
  command.callback([flags, run, &exit_code] {
    try {
      run(*flags);
    } catch (const Interrupted& interrupted) {
      log_line("interrupted; no dataset was written");
      exit_code = exit_code_of(interrupted.signal_number);
    }
  });
  return command;
}

void add_making_flags(CLI::App& command, DataFlags& flags) {
  command.add_option("--set", flags.settings, "a parameter of the task, e.g. task.max_length=1000")
      ->type_name("TASK.KEY=VALUE")
      ->allow_extra_args(false);
  command.add_flag("--force", flags.force, "replace the dataset that is there");
}

}  // namespace

void add_data_command(CLI::App& app, int& exit_code) {
  CLI::App& data = *app.add_subcommand("data", "generate, fetch, import, verify, describe and export datasets");
  data.require_subcommand(1);
  data.footer("Example:\n  lra data generate listops --data DIR\n  lra data info listops --data DIR");
  const auto flags = std::make_shared<DataFlags>();

  CLI::App& generate = add_subcommand(data, flags, "generate", "generate a dataset from a seed",
                                      "lra data generate listops --data DIR\n  lra data generate listops --data DIR "
                                      "--force --seed 1 --train 2000 --validation 100 --test 100",
                                      run_generate, exit_code);
  add_seed_flag(generate, flags->seed, "seed; equal seeds give equal bytes")->capture_default_str();
  generate
      .add_option("--threads", flags->threads, "threads; the bytes do not depend on them (default: every processor)")
      ->type_name(kCountType);
  generate.add_option("--train", flags->train, "examples of the train split (default: as published)")
      ->type_name(kCountType);
  generate.add_option("--validation", flags->validation, "examples of the validation split (default: as published)")
      ->type_name(kCountType);
  generate.add_option("--test", flags->test, "examples of the test split (default: as published)")
      ->type_name(kCountType);
  add_making_flags(generate, *flags);

  add_fetch_command(data, exit_code);

  CLI::App& import = add_subcommand(data, flags, "import", "convert published data, or your own",
                                    "lra data import listops --from lra_release.gz --data DIR\n"
                                    "  lra data import text --from aclImdb_v1.tar.gz --data DIR\n"
                                    "  lra data import custom_text --from reviews.tsv --data DIR",
                                    run_import, exit_code);
  import
      .add_option("--from", flags->from,
                  "what was downloaded: a directory, an archive (.tar, .tar.gz, .tar.xz, .zip) as it is, or a file "
                  "(default: what `lra data fetch` has fetched)")
      ->type_name(kPathType);
  add_making_flags(import, *flags);

  add_subcommand(data, flags, "verify", "compare every array with its hash", "lra data verify listops --data DIR",
                 run_verify, exit_code);

  add_subcommand(data, flags, "info", "sizes, lengths, labels, baselines and hashes",
                 "lra data info listops --data DIR --json", run_info, exit_code);

  CLI::App& exporting = add_subcommand(data, flags, "export", "write a split for other programs",
                                       "lra data export listops --data DIR --split test --format tsv --output test.tsv",
                                       run_export, exit_code);
  add_choice(exporting, "--split", flags->split, split_names(), "the examples to write")->required();
  add_choice(exporting, "--format", flags->format, {"tsv", "npy", "png"},
             "tsv: official text; npy: padded arrays; png: images")
      ->required();
  exporting.add_option("--output", flags->output, "file (png: directory) to write")->type_name(kPathType)->required();
}

}  // namespace lra::harness
