// lra list: what the registries hold.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "attention/registry.h"
#include "engine/errors.h"
#include "harness/commands/command.h"
#include "harness/presets.h"
#include "tasks/registry.h"

namespace lra::harness {
namespace {

using nlohmann::ordered_json;

ordered_json parameter_json(const attention::ParameterSpec& spec) {
  ordered_json json = {{"name", spec.name}, {"unit", spec.unit}, {"help", spec.help}, {"choices", spec.choices}};
  json["default"] = std::visit([](const auto& value) { return ordered_json(value); }, spec.default_value);
  json["minimum"] = spec.minimum ? ordered_json(*spec.minimum) : ordered_json();
  json["maximum"] = spec.maximum ? ordered_json(*spec.maximum) : ordered_json();
  return json;
}

ordered_json facts_json(const attention::Mechanism& mechanism) {
  const attention::Facts facts = mechanism.facts();
  ordered_json parameters = ordered_json::array();
  for (const attention::ParameterSpec& spec : facts.parameters) parameters.push_back(parameter_json(spec));
  const bool mixer = dynamic_cast<const attention::Mixer*>(&mechanism) != nullptr;
  return {{"name", facts.name},
          {"full_name", facts.full_name},
          {"kind", mixer ? "mixer" : "attention"},
          {"citation", facts.citation},
          {"time_complexity", facts.time_complexity},
          {"memory_complexity", facts.memory_complexity},
          {"length_semantics", to_string(facts.length_semantics)},
          {"padding_mask", facts.padding_mask},
          {"causal", facts.causal},
          {"cross", facts.cross},
          {"deterministic", facts.deterministic},
          {"attention_dropout", facts.attention_dropout},
          {"parameters", parameters}};
}

void list_attention(bool json) {
  ordered_json all = ordered_json::array();
  if (!json) std::cout << fmt::format("{:<12} {:<18} {:<8} {:<7} {}\n", "name", "time", "length", "causal", "source");
  for (const std::string& name : attention::names()) {
    const attention::Mechanism& mechanism = attention::find(name);
    const attention::Facts facts = mechanism.facts();
    all.push_back(facts_json(mechanism));
    if (json) continue;
    std::cout << fmt::format("{:<12} {:<18} {:<8} {:<7} {}\n", facts.name, facts.time_complexity,
                             to_string(facts.length_semantics), facts.causal ? "yes" : "no", facts.citation);
    for (const attention::ParameterSpec& spec : facts.parameters)
      std::cout << fmt::format(
          "    attention.{} = {}  {}\n", spec.name,
          std::visit([](const auto& value) { return fmt::format("{}", value); }, spec.default_value), spec.help);
  }
  if (json) std::cout << all.dump(2) << "\n";
}

void list_tasks(bool json) {
  ordered_json all = ordered_json::array();
  if (!json)
    std::cout << fmt::format("{:<10} {:>7} {:>8} {:>6} {:>24}  {}\n", "name", "classes", "length", "vocab",
                             "train/validation/test", "source");
  for (const tasks::Task* task : tasks::all_tasks()) {
    const tasks::TaskFacts& facts = task->facts();
    const tasks::SplitSizes& sizes = facts.default_examples;
    all.push_back({{"name", facts.name},
                   {"full_name", facts.full_name},
                   {"citation", facts.citation},
                   {"num_classes", facts.num_classes},
                   {"vocab_size", facts.vocab_size()},
                   {"nominal_length", facts.nominal_length},
                   {"inputs_per_example", facts.inputs_per_example},
                   {"supports_generate", facts.supports_generate},
                   {"examples", {{"train", sizes.train}, {"validation", sizes.validation}, {"test", sizes.test}}}});
    if (!json)
      std::cout << fmt::format("{:<10} {:>7} {:>8} {:>6} {:>24}  {}\n", facts.name, facts.num_classes,
                               facts.nominal_length, facts.vocab_size(),
                               fmt::format("{}/{}/{}", sizes.train, sizes.validation, sizes.test), facts.citation);
  }
  if (json) std::cout << all.dump(2) << "\n";
}

void list_preset_table(bool json) {
  ordered_json all = ordered_json::array();
  for (const PresetSummary& preset : list_presets()) {
    all.push_back({{"name", preset.name}, {"citation", preset.citation}, {"tasks", preset.tasks}});
    if (!json)
      std::cout << fmt::format("{:<8} tasks: {}\n         {}\n", preset.name, fmt::join(preset.tasks, ", "),
                               preset.citation);
  }
  if (json) std::cout << all.dump(2) << "\n";
}

struct ListFlags {
  std::string what;
  bool json = false;
};

void run_list(const ListFlags& flags) {
  if (flags.what == "attention") return list_attention(flags.json);
  if (flags.what == "tasks") return list_tasks(flags.json);
  if (flags.what == "presets") return list_preset_table(flags.json);
  throw UsageError(fmt::format("[list] nothing is called `{}`", flags.what),
                   suggest(flags.what, {"tasks", "attention", "presets"}));
}

}  // namespace

void add_list_command(CLI::App& app, int&) {
  const auto flags = std::make_shared<ListFlags>();
  CLI::App* command = app.add_subcommand("list", "show tasks, mechanisms or presets");
  command->add_option("WHAT", flags->what, "tasks, attention or presets")->required();
  command->add_flag("--json", flags->json, "print JSON with every fact");
  command->footer("Example:\n  lra list attention --json");
  command->callback([flags] { run_list(*flags); });
}

}  // namespace lra::harness
