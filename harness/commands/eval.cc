// lra eval: the accuracy of a finished or started run on one split, every example once.
#include <fmt/format.h>

#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "engine/errors.h"
#include "harness/checkpoint.h"
#include "harness/commands/command.h"
#include "harness/commands/options.h"
#include "harness/evaluation_bar.h"
#include "harness/examples.h"
#include "harness/record_builder.h"
#include "harness/terminal.h"
#include "harness/trained_run.h"
#include "reports/page.h"
#include "reports/statistics.h"
#include "tasks/location.h"

namespace lra::harness {
namespace {

namespace fs = std::filesystem;

struct EvalFlags {
  MachineFlags machine;
  std::string run;
  std::string split = "test";
  std::string data;
  bool json = false;
};

int run_eval(const EvalFlags& flags) {
  const fs::path run = flags.run;
  const tasks::SplitName split = tasks::parse_split(flags.split);
  const TrainConfig config = config_of_run(run);
  const tasks::Dataset dataset = tasks::Dataset::open(tasks::data_directory(flags.data), config.task.name);
  const RunSplits splits = run_splits(dataset, config.task.split_policy);
  const SplitExamples examples(splits[split], config);
  require_known_tokens(dataset, splits[split].split().name());
  if (examples.size() == 0)
    throw UsageError(fmt::format("[eval] the {} split is empty", flags.split), "`lra data info` shows the splits");
  std::vector<int64_t> lengths;
  for (int64_t i = 0; i < examples.size(); ++i)
    for (int input = 0; input < examples.inputs(); ++input) lengths.push_back(examples.length(i, input));

  Model model(config, shape_of(dataset), engine::Dtype::f32,
              config.train.kernels == Kernels::kPlain ? engine::Kernels::plain : engine::Kernels::fused);
  Learner learner(model,
                  {.threads = flags.machine.thread_count(), .memory_limit_bytes = flags.machine.memory_limit_bytes()},
                  {}, lengths);
  const fs::path weights = weights_of_run(run, config);
  load_weights(weights, config_hash(config, dataset.manifest().dataset_sha256), model.parameters(), learner.weights());
  const Tally tally = evaluate_with_bar(learner, examples, flags.split);
  const reports::Interval interval = reports::wilson_interval(tally.correct, tally.examples);
  reports::ResultRecord baselines;  // of the test split; there are none to put beside the others
  baselines.task.name = config.task.name;
  if (split == tasks::SplitName::kTest) describe_dataset(baselines, dataset, splits);
  const std::optional<double>& majority = baselines.task.majority_baseline;

  if (flags.json) {
    const nlohmann::ordered_json json = {{"split", flags.split},
                                         {"weights", weights.string()},
                                         {"accuracy", tally.accuracy()},
                                         {"correct", tally.correct},
                                         {"total", tally.examples},
                                         {"wilson95", {interval.low, interval.high}},
                                         {"loss", tally.loss()},
                                         {"majority_baseline", majority ? nlohmann::ordered_json(*majority) : nullptr},
                                         {"shortcut_baselines", baselines.task.shortcut_baselines}};
    std::cout << json.dump(2) << "\n";
    return kExitOk;
  }
  std::string text = fmt::format("{} accuracy {:.2f} %  [{:.2f}, {:.2f}]  ({} of {})  loss {:.4f}\n", flags.split,
                                 100 * tally.accuracy(), 100 * interval.low, 100 * interval.high, tally.correct,
                                 tally.examples, tally.loss());
  if (majority) text += fmt::format("  beside it: majority class {:.2f} %\n", 100 * *majority);
  for (const auto& [name, accuracy] : baselines.task.shortcut_baselines)
    text += fmt::format("  beside it: {} {:.2f} %\n", name, 100 * accuracy);
  std::cout << reports::fit(text + "weights " + weights.string() + "\n", table_width());
  return kExitOk;
}

}  // namespace

void add_eval_command(CLI::App& app, int& exit_code) {
  const auto flags = std::make_shared<EvalFlags>();
  CLI::App* command = app.add_subcommand("eval", "evaluate a run's weights on a split");
  command->add_option("RUN", flags->run, "run directory, as `lra train` prints it")
      ->type_name(kDirectoryType)
      ->required();
  add_choice(*command, "--split", flags->split, split_names(), "the examples to evaluate")->capture_default_str();
  flags->machine.add_to(*command);
  add_data_flag(*command, flags->data);
  add_plugin_flag(*command);
  command->add_flag("--json", flags->json, "print JSON");
  command->footer("Example:\n  lra eval RUN --data DIR\n  lra eval RUN --data DIR --split validation --json");
  command->callback([flags, &exit_code] { exit_code = run_eval(*flags); });
}

}  // namespace lra::harness
