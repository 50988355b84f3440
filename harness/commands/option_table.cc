#include "harness/commands/option_table.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <sstream>

namespace lra::harness {
namespace {

OptionEntry describe_option(const CLI::Option& option) {
  OptionEntry entry;
  entry.positional = option.get_positional();
  if (entry.positional) {
    entry.names = {option.get_name(true)};
  } else {
    for (const std::string& name : option.get_snames()) entry.names.push_back("-" + name);
    for (const std::string& name : option.get_lnames()) entry.names.push_back("--" + name);
  }
  const bool takes_value = option.get_items_expected_max() > 0;
  if (takes_value) entry.type = option.get_type_name();
  entry.required = option.get_required();
  entry.comma_separated = option.get_delimiter() == ',';
  entry.repeatable = takes_value && option.get_multi_option_policy() == CLI::MultiOptionPolicy::TakeAll;
  entry.help = option.get_description();
  if (!option.get_default_str().empty()) entry.help += fmt::format(" (default: {})", option.get_default_str());
  if (entry.required && !entry.positional) entry.help += " (required)";
  return entry;
}

}  // namespace

std::string CommandEntry::heading(const OptionEntry& option) {
  std::string names = fmt::format("{}", fmt::join(option.names, ", "));
  if (option.positional || option.type.empty()) return names;
  return fmt::format("{} {}{}", names, option.type, option.comma_separated ? ",..." : "");
}

std::string CommandEntry::usage() const {
  std::string text = path.empty() ? "lra" : "lra " + path;
  if (needs_subcommand || !commands.empty()) text += " COMMAND";
  for (const OptionEntry& option : options)
    if (!option.positional && option.required) text += " " + heading(option);
  text += " [OPTIONS]";
  for (const OptionEntry& option : options)
    if (option.positional) text += " " + option.names[0];
  return text;
}

CommandEntry describe(const CLI::App& app, const std::string& path) {
  CommandEntry entry{.path = path,
                     .name = app.get_name(),
                     .description = app.get_description(),
                     .footer = app.get_footer(),
                     .needs_subcommand = app.get_require_subcommand_min() > 0};
  for (const bool positional : {true, false})
    for (const CLI::Option* option : app.get_options())
      if (option->get_positional() == positional) entry.options.push_back(describe_option(*option));
  for (const CLI::App* command : app.get_subcommands({}))
    entry.commands.push_back(describe(*command, path.empty() ? command->get_name() : path + " " + command->get_name()));
  return entry;
}

CommandEntry describe_program(const CLI::App& app) {
  const CLI::App* program = &app;
  while (program->get_parent() != nullptr) program = program->get_parent();
  return describe(*program);
}

std::vector<FooterBlock> footer_blocks(const std::string& footer) {
  std::vector<FooterBlock> blocks;
  std::istringstream stream(footer);
  bool in_paragraph = false;
  for (std::string line; std::getline(stream, line);) {
    const bool indented = line.starts_with(' ');
    if (line.empty()) {
      in_paragraph = false;
    } else if (indented && !blocks.empty()) {
      blocks.back().lines.push_back(line.substr(line.find_first_not_of(' ') < 4 ? 2 : 4));
      in_paragraph = false;
    } else if (line.ends_with(':')) {
      blocks.push_back({.title = line.substr(0, line.size() - 1)});
      in_paragraph = false;
    } else if (in_paragraph) {
      blocks.back().text += " " + line;
    } else {
      blocks.push_back({.text = line});
      in_paragraph = true;
    }
  }
  return blocks;
}

}  // namespace lra::harness
