// lra list: what the registries hold.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "attention/registry.h"
#include "engine/errors.h"
#include "harness/commands/command.h"
#include "harness/commands/options.h"
#include "harness/mechanism_facts.h"
#include "harness/plugins.h"
#include "harness/presets.h"
#include "harness/terminal.h"
#include "reports/page.h"
#include "tasks/registry.h"

namespace lra::harness {
namespace {

using nlohmann::ordered_json;

void print(bool json, const ordered_json& all, const reports::Table& table) {
  std::cout << (json ? all.dump(2) + "\n" : table.text(table_width()));
}

void list_attention(bool json) {
  ordered_json all = ordered_json::array();
  reports::Table table({{"name"}, {"time"}, {"length"}, {"causal"}, {"source"}});
  for (const std::string& name : attention::names()) {
    const attention::Mechanism& mechanism = attention::find(name);
    const attention::Facts facts = mechanism.facts();
    all.push_back(facts_json(mechanism));
    table.row({facts.name, facts.time_complexity, std::string(to_string(facts.length_semantics)),
               facts.causal ? "yes" : "no", facts.citation});
    if (const Plugin* plugin = plugin_with(name)) table.remark("from " + plugin->file);
    std::string defaults;
    for (const attention::ParameterSpec& spec : facts.parameters)
      defaults +=
          fmt::format("{}{}={}", defaults.empty() ? "attention." : ", ", spec.name,
                      std::visit([](const auto& value) { return fmt::format("{}", value); }, spec.default_value));
    if (!defaults.empty()) table.remark(defaults);
  }
  print(json, all, table);
}

void list_tasks(bool json) {
  constexpr auto kRight = reports::Table::Align::kRight;
  ordered_json all = ordered_json::array();
  reports::Table table({{"name"},
                        {"classes", kRight},
                        {"length", kRight},
                        {"vocab", kRight},
                        {"train/validation/test", kRight},
                        {"source"}});
  for (const tasks::Task* task : tasks::all_tasks()) {
    const tasks::TaskFacts& facts = task->facts();
    const tasks::SplitSizes& sizes = facts.default_examples;
    all.push_back({{"name", facts.name},
                   {"aliases", facts.aliases},
                   {"full_name", facts.full_name},
                   {"citation", facts.citation},
                   {"num_classes", facts.num_classes},
                   {"vocab_size", facts.vocab_size()},
                   {"nominal_length", facts.nominal_length},
                   {"inputs_per_example", facts.inputs_per_example},
                   {"supports_generate", facts.supports_generate},
                   {"image", facts.image ? ordered_json{{"height", facts.image->height},
                                                        {"width", facts.image->width},
                                                        {"mean", facts.image->mean},
                                                        {"stddev", facts.image->stddev}}
                                         : ordered_json()},
                   {"examples", {{"train", sizes.train}, {"validation", sizes.validation}, {"test", sizes.test}}}});
    std::string name = facts.name;
    if (!facts.aliases.empty()) name += fmt::format(" ({})", fmt::join(facts.aliases, ", "));
    const auto known = [](int64_t value) {
      return value > 0 ? fmt::format("{}", value) : "data";
    };  // else these decide
    table.row({name, known(facts.num_classes), fmt::format("{}", facts.nominal_length), known(facts.vocab_size()),
               sizes.total() > 0 ? fmt::format("{}/{}/{}", sizes.train, sizes.validation, sizes.test) : "data",
               facts.citation});
  }
  print(json, all, table);
}

void list_preset_table(bool json) {
  ordered_json all = ordered_json::array();
  reports::Table table({{"name"}, {"tasks"}, {"source"}});
  for (const PresetSummary& preset : list_presets()) {
    all.push_back({{"name", preset.name}, {"citation", preset.citation}, {"tasks", preset.tasks}});
    table.row({preset.name, fmt::format("{}", fmt::join(preset.tasks, ", ")), preset.citation});
  }
  print(json, all, table);
}

struct ListFlags {
  std::string what, name;
  bool json = false, markdown = false;
};

/// One mechanism at length.
void show_mechanism(const ListFlags& flags) {
  const attention::Mechanism& mechanism = attention::find(flags.name);
  if (flags.json) {
    std::cout << facts_json(mechanism).dump(2) << "\n";
  } else {
    std::cout << (flags.markdown ? facts_markdown(mechanism) : facts_text(mechanism, report_width()));
  }
}

void run_list(const ListFlags& flags) {
  if (flags.what != "attention" && (flags.markdown || !flags.name.empty()))
    throw UsageError(
        fmt::format("[list] {} {}: only mechanisms have pages", flags.what, flags.markdown ? "--markdown" : "--name"),
        fmt::format("lra list {}, or lra list attention --name softmax", flags.what));
  if (!flags.name.empty()) return show_mechanism(flags);
  if (flags.markdown) {
    std::cout << mechanisms_markdown();
    return;
  }
  if (flags.what == "attention") return list_attention(flags.json);
  if (flags.what == "tasks") return list_tasks(flags.json);
  list_preset_table(flags.json);
}

}  // namespace

void add_list_command(CLI::App& app, int&) {
  const auto flags = std::make_shared<ListFlags>();
  CLI::App* command = app.add_subcommand("list", "show tasks, mechanisms or presets");
  add_choice(*command, "WHAT", flags->what, {"tasks", "attention", "presets"}, "tasks, attention or presets")
      ->required();
  add_plugin_flag(*command);
  command->add_option("--name", flags->name, "show one mechanism at length")->type_name(kMechanismType);
  CLI::Option* json = command->add_flag("--json", flags->json, "print JSON with every fact");
  command->add_flag("--markdown", flags->markdown, "print mechanisms as Markdown, as docs/mechanisms has them")
      ->excludes(json);
  command->footer("Example:\n  lra list attention\n  lra list attention --name cosformer\n  lra list tasks --json");
  command->callback([flags] { run_list(*flags); });
}

}  // namespace lra::harness
