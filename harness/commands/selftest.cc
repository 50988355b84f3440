// lra selftest: the mechanisms' contract and the engine's promises, on this machine, without data.
#include <fmt/format.h>

#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "attention/registry.h"
#include "engine/errors.h"
#include "harness/commands/command.h"
#include "harness/commands/options.h"
#include "harness/contract.h"
#include "harness/examples.h"
#include "harness/learner.h"
#include "harness/plugins.h"
#include "harness/presets.h"
#include "harness/progress.h"
#include "tasks/registry.h"

namespace lra::harness {
namespace {

struct SelftestFlags {
  std::vector<std::string> attentions;
  bool verbose = false;
  bool json = false;
};

/// Losses and weights of a short training, to compare over thread counts.
std::pair<std::vector<double>, std::vector<float>> short_training(const std::string& attention, int threads) {
  ResolvedConfig resolved =
      resolve_config({.task = default_task(), .attention = attention, .preset = "tiny", .sequence_length = 100});
  fit_attention_parameters(resolved.config, resolved.config.sequence_length);
  Model model(resolved.config, shape_of(tasks::task_named(resolved.config.task.name).facts()), engine::Dtype::f32,
              engine::Kernels::fused);
  const RandomExamples examples(64, 100, model.task(), 7);
  const std::vector<int64_t> lengths = {100};
  Learner learner(model, {.threads = threads}, lengths, {});
  BatchOrder order(examples.size(), resolved.config.train.batch_size, 0);
  std::vector<int64_t> batch(static_cast<size_t>(resolved.config.train.batch_size));
  std::vector<double> losses;
  constexpr int64_t kSteps = 4;
  for (int64_t step = 0; step < kSteps; ++step) {
    order.batch(step, batch);
    losses.push_back(learner.train_step(examples, batch, step).loss());
  }
  const std::span<float> weights = learner.weights();
  return {losses, {weights.begin(), weights.end()}};
}

Finding threads_do_not_matter(const std::string& attention) {
  bool equal = true;
  std::string detail = "losses and weights of 4 training steps on 1, 2 and 3 threads, bit for bit";
  try {
    const auto one = short_training(attention, 1);
    for (const int threads : {2, 3}) equal = equal && short_training(attention, threads) == one;
  } catch (const std::exception& error) {
    equal = false;
    detail = kThrew + std::string(error.what());
  }
  return {
      .check = "threads_do_not_matter", .passed = equal, .detail = detail, .repro = command_on("selftest", attention)};
}

/// Those that were named, else those of the plug-ins that were given, else all.
std::vector<std::string> chosen_mechanisms(const SelftestFlags& flags) {
  if (!flags.attentions.empty()) return flags.attentions;
  std::vector<std::string> names;
  for (const Plugin& plugin : loaded_plugins())
    names.insert(names.end(), plugin.mechanisms.begin(), plugin.mechanisms.end());
  return names.empty() ? attention::names() : names;
}

int run_selftest(const SelftestFlags& flags) {
  const std::vector<std::string> chosen = chosen_mechanisms(flags);
  for (const std::string& name : chosen) attention::find(name);  // refuses unknown names before the work
  int failed = 0, passed = 0;
  nlohmann::ordered_json checks = nlohmann::ordered_json::array();
  Progress progress("selftest", chosen.size(), "mechanisms");
  for (size_t i = 0; i < chosen.size(); ++i) {
    const std::string& name = chosen[i];
    progress.update(i, name);
    std::vector<Finding> findings = check_contract(name);
    findings.push_back(threads_do_not_matter(name));
    std::string text;
    for (const Finding& finding : findings) {
      (finding.passed ? passed : failed) += 1;
      checks.push_back({{"attention", name},
                        {"check", finding.check},
                        {"passed", finding.passed},
                        {"detail", finding.detail},
                        {"meaning", meaning_of(finding)},
                        {"repro", finding.repro}});
      if (finding.passed && !flags.verbose) continue;
      text += fmt::format("{:<4} {} {}: {}\n", finding.passed ? "ok" : "FAIL", name, finding.check, finding.detail);
      if (!finding.passed) text += fmt::format("     means: {}\n     repro: {}\n", meaning_of(finding), finding.repro);
    }
    if (!flags.json) print_result(text + fmt::format("{}: {} checks\n", name, findings.size()));
  }
  progress.update(chosen.size(), fmt::format("{} checks", passed + failed));
  progress.finish();
  print_result(flags.json
                   ? nlohmann::ordered_json{{"passed", passed}, {"failed", failed}, {"checks", checks}}.dump(2) + "\n"
                   : fmt::format("{} passed, {} failed\n", passed, failed));
  return failed == 0 ? kExitOk : kExitGateFailed;
}

}  // namespace

void add_selftest_command(CLI::App& app, int& exit_code) {
  const auto flags = std::make_shared<SelftestFlags>();
  CLI::App* command = app.add_subcommand("selftest", "check kernels, gradients and repeatability on this machine");
  command
      ->add_option("--attention", flags->attentions,
                   "mechanisms, comma-separated (default: those of --plugin, else all)")
      ->type_name(kMechanismType)
      ->delimiter(',');
  add_plugin_flag(*command);
  command->add_flag("--verbose,-v", flags->verbose, "list the checks that passed, too");
  command->add_flag("--json", flags->json, "print every check as JSON");
  command->footer("Example:\n  lra selftest\n  lra selftest --attention cosformer --verbose");
  command->callback([flags, &exit_code] { exit_code = run_selftest(*flags); });
}

}  // namespace lra::harness
