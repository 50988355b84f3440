// lra completions: scripts that complete commands, options and values in a shell, made from the option table.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <functional>
#include <iostream>
#include <memory>

#include "attention/registry.h"
#include "engine/errors.h"
#include "harness/commands/command.h"
#include "harness/commands/option_table.h"
#include "harness/commands/options.h"
#include "harness/config.h"
#include "harness/presets.h"
#include "tasks/registry.h"

namespace lra::harness {
namespace {

/// What may stand in the place of a type: words, files, directories, or nothing that is known.
struct Candidates {
  std::vector<std::string> words = {};
  bool files = false;
  bool directories = false;
  bool are_keys = false;  // a value follows behind "="
};

/// "train.steps", and "attention.epsilon" of every mechanism that has it.
std::vector<std::string> assignable_keys() {
  std::vector<std::string> keys;
  for (const ConfigField& field : config_fields())
    if (field.assignable) keys.push_back(field.key);
  for (const std::string& name : attention::names())
    for (const attention::ParameterSpec& spec : attention::find(name).facts().parameters)
      if (const std::string key = "attention." + spec.name; std::find(keys.begin(), keys.end(), key) == keys.end())
        keys.push_back(key);
  return keys;
}

Candidates candidates_of(const std::string& type) {
  Candidates found;
  if (type == kTaskType) {
    for (const tasks::Task* task : tasks::all_tasks()) found.words.push_back(task->facts().name);
  } else if (type == kMechanismType) {
    found.words = attention::names();
  } else if (type == kPresetType) {
    for (const PresetSummary& preset : list_presets()) found.words.push_back(preset.name);
    found.files = true;
  } else if (type == kKeyValueType) {
    found.words = assignable_keys();
    found.are_keys = true;
  } else if (type == kFileType || type == kPathType) {
    found.files = true;
  } else if (type == kDirectoryType) {
    found.directories = true;
  } else if (type.find('|') != std::string::npos) {
    found.words = split_choices(type);
  }
  return found;
}

/// Calls `visit` with the program and with every command below it, each before its own.
void for_each_command(const CommandEntry& command, const std::function<void(const CommandEntry&)>& visit) {
  visit(command);
  for (const CommandEntry& sub : command.commands) for_each_command(sub, visit);
}

std::string joined(const std::vector<std::string>& words) { return fmt::format("{}", fmt::join(words, " ")); }

std::vector<std::string> names_of_options(const CommandEntry& command) {
  std::vector<std::string> names;
  for (const OptionEntry& option : command.options)
    if (!option.positional) names.insert(names.end(), option.names.begin(), option.names.end());
  return names;
}

// ---- bash

std::string bash_actions(const std::string& type) {
  const Candidates found = candidates_of(type);
  std::vector<std::string> actions;
  if (!found.words.empty()) actions.push_back(fmt::format("words='{}'", joined(found.words)));
  if (found.are_keys) actions.emplace_back("suffix='='");
  if (found.files) actions.emplace_back("files=-f");
  if (found.directories) actions.emplace_back("files=-d");
  return actions.empty() ? ":" : fmt::format("{}", fmt::join(actions, "; "));
}

std::string bash_script(const CommandEntry& program) {
  std::string paths, values, names, arguments;
  for_each_command(program, [&](const CommandEntry& command) {
    if (!command.path.empty()) paths += fmt::format("{}'{}'", paths.empty() ? "" : " | ", command.path);
    std::vector<std::string> subcommands;
    for (const CommandEntry& sub : command.commands) subcommands.push_back(sub.name);
    names += fmt::format("    '{}') options='{}' ;;\n", command.path, joined(names_of_options(command)));
    std::string positional = subcommands.empty() ? "" : fmt::format("words='{}'", joined(subcommands));
    for (const OptionEntry& option : command.options) {
      if (option.positional) {
        positional = bash_actions(option.type);
      } else if (!option.type.empty()) {
        for (const std::string& name : option.names)
          values += fmt::format("    '{} {}') takes_value=1; {} ;;\n", command.path, name, bash_actions(option.type));
      }
    }
    if (!positional.empty()) arguments += fmt::format("    '{}') {} ;;\n", command.path, positional);
  });
  std::string choices;
  for (const ConfigField& field : config_fields()) {
    if (!field.choices.empty()) choices += fmt::format("    {}) words='{}' ;;\n", field.key, joined(field.choices));
    if (field.kind == "boolean") choices += fmt::format("    {}) words='true false' ;;\n", field.key);
  }
  return fmt::format(R"(# bash completion for lra, made by `lra completions bash`.
_lra() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD-1]}}
  local command='' candidate words='' files='' suffix='' options='' takes_value='' prefix='' i
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    candidate="${{command:+$command }}${{COMP_WORDS[i]}}"
    case $candidate in
      {paths}) command=$candidate ;;
    esac
  done
  # readline cuts words at "="
  if [[ $current == '=' ]]; then
    current=''
  elif [[ $previous == '=' ]]; then
    previous=${{COMP_WORDS[COMP_CWORD-2]}}
  fi
  case "$command $previous" in
{values}  esac
  case $previous in
{choices}  esac
  case $command in
{names}  esac
  if [[ -z $takes_value && -z $words ]]; then
    if [[ $current == -* ]]; then
      words=$options
    else
      case $command in
{arguments}        *) words=$options ;;
      esac
    fi
  fi
  if [[ $current == *,* ]]; then
    prefix=${{current%,*}},
    current=${{current##*,}}
  fi
  local IFS=$'\n'
  COMPREPLY=($(IFS=' ' compgen -P "$prefix" -S "$suffix" -W "$words" -- "$current"))
  if [[ -n $suffix ]]; then
    compopt -o nospace 2>/dev/null
  fi
  if [[ -n $files ]]; then
    COMPREPLY+=($(compgen "$files" -- "$current"))
    compopt -o filenames 2>/dev/null
  fi
}}
complete -F _lra lra
)",
                     fmt::arg("paths", paths), fmt::arg("values", values), fmt::arg("choices", choices),
                     fmt::arg("names", names), fmt::arg("arguments", arguments));
}

// ---- zsh

/// Inside of '...' in a zsh script, where brackets and colons mean something to _arguments.
std::string zsh_text(const std::string& text) {
  std::string quoted;
  for (const char c : text) {
    if (c == '\'') {
      quoted += R"('\'')";
      continue;
    }
    if (c == '[' || c == ']' || c == ':' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted;
}

std::string zsh_action(const OptionEntry& option) {
  const Candidates found = candidates_of(option.type);
  const std::string words = joined(found.words);
  if (found.are_keys) return fmt::format(":compadd -S '\\''='\\'' -- {}", words);
  if (option.comma_separated && !found.words.empty()) return fmt::format(":_sequence compadd - {}", words);
  if (!found.words.empty() && found.files)
    return fmt::format(": _alternative \"words\\:value\\:({})\" \"files\\:file\\:_files\"", words);
  if (!found.words.empty()) return fmt::format(":({})", words);
  if (found.files) return ":_files";
  if (found.directories) return ":_files -/";
  return ":";
}

std::string zsh_function(const CommandEntry& command) {
  std::string name = "_lra", text;
  for (const char c : command.path.empty() ? "" : " " + command.path) name += c == ' ' ? '_' : c;
  for (const OptionEntry& option : command.options) {
    const std::string type = option.type.empty() ? "" : zsh_text(option.type);
    if (option.positional) {
      text += fmt::format(" \\\n    '1:{}{}'", type, zsh_action(option));
      continue;
    }
    for (const std::string& flag : option.names) {
      const std::string value = option.type.empty() ? "" : ":" + type + zsh_action(option);
      const char* equals = option.type.empty() || !flag.starts_with("--") ? "" : "=";
      text += fmt::format(" \\\n    '{}{}{}[{}]{}'", option.repeatable ? "*" : "", flag, equals, zsh_text(option.help),
                          value);
    }
  }
  if (command.commands.empty()) return fmt::format("{}() {{\n  _arguments{}\n}}\n\n", name, text);
  std::string known, cases;
  for (const CommandEntry& sub : command.commands) {
    known += fmt::format(" \\\n        '{}:{}'", sub.name, zsh_text(sub.description));
    cases += fmt::format("        {}) {}_{} ;;\n", sub.name, name, sub.name);
  }
  return fmt::format(R"({}() {{
  local curcontext=$curcontext state line
  _arguments -C{} \
    '1: :->command' '*:: :->arguments'
  case $state in
    command)
      local -a commands=({})
      _describe command commands
      ;;
    arguments)
      case $words[1] in
{}      esac
      ;;
  esac
}}

)",
                     name, text, known, cases);
}

std::string zsh_script(const CommandEntry& program) {
  std::string text = "#compdef lra\n# zsh completion for lra, made by `lra completions zsh`.\n\n";
  for_each_command(program, [&](const CommandEntry& command) { text += zsh_function(command); });
  return text + "if [[ $zsh_eval_context[-1] == loadautofunc ]]; then\n  _lra \"$@\"\nelse\n  compdef _lra lra\nfi\n";
}

// ---- fish

std::string fish_text(const std::string& text) {
  std::string quoted;
  for (const char c : text) {
    if (c == '\'' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted;
}

std::string fish_action(const OptionEntry& option) {
  const Candidates found = candidates_of(option.type);
  std::vector<std::string> words = found.words;
  if (found.are_keys)
    for (std::string& word : words) word += "=";
  const std::string list = words.empty() ? "" : fmt::format(" -a '{}'", joined(words));
  if (found.files) return " -r -F" + list;
  if (found.directories) return " -x -a '(__fish_complete_directories)'";
  return " -x" + list;
}

/// A condition that holds in the command itself and not below it.
std::string fish_condition(const CommandEntry& command) {
  if (command.path.empty()) return "__fish_use_subcommand";
  std::string condition;
  size_t at = 0;
  while (at < command.path.size()) {
    const size_t end = std::min(command.path.find(' ', at), command.path.size());
    condition += (condition.empty() ? "" : "; and ") +
                 fmt::format("__fish_seen_subcommand_from {}", command.path.substr(at, end - at));
    at = end + 1;
  }
  for (const CommandEntry& sub : command.commands)
    condition += fmt::format("; and not __fish_seen_subcommand_from {}", sub.name);
  return condition;
}

std::string fish_script(const CommandEntry& program) {
  std::string text = "# fish completion for lra, made by `lra completions fish`.\ncomplete -c lra -f\n";
  for_each_command(program, [&](const CommandEntry& command) {
    const std::string start = fmt::format("complete -c lra -n '{}'", fish_condition(command));
    for (const CommandEntry& sub : command.commands)
      text += fmt::format("{} -a {} -d '{}'\n", start, sub.name, fish_text(sub.description));
    for (const OptionEntry& option : command.options) {
      std::string names;
      if (!option.positional)
        for (const std::string& name : option.names)
          names += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
      const std::string action = option.type.empty() ? "" : fish_action(option);
      if (option.positional && action == " -x") continue;
      text += fmt::format("{}{}{} -d '{}'\n", start, names, action, fish_text(option.help));
    }
  });
  return text;
}

}  // namespace

void add_completions_command(CLI::App& app, int&) {
  const auto shell = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("completions", "print a script that completes commands in a shell");
  add_choice(*command, "SHELL", *shell, {"bash", "zsh", "fish"}, "bash, zsh or fish")->required();
  command->footer(
      "Installed packages bring these scripts along. By hand, for one user:\n\n"
      "Example:\n"
      "  lra completions bash > ~/.local/share/bash-completion/completions/lra\n"
      "  lra completions fish > ~/.config/fish/completions/lra.fish\n"
      "  lra completions zsh > DIR/_lra\n"
      "where DIR is in zsh's $fpath.");
  command->callback([shell, &app] {
    const CommandEntry program = describe_program(app);
    std::cout << (*shell == "bash"  ? bash_script(program)
                  : *shell == "zsh" ? zsh_script(program)
                                    : fish_script(program));
  });
}

}  // namespace lra::harness
