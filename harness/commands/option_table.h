// The commands and options of the program as data, read off its CLI11 App: help, completions and manual are made from
// it.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace lra::harness {

/// One option or positional argument.
struct OptionEntry {
  std::vector<std::string> names = {};  // "--seed", "-v"; of a positional one name, "RUN"
  bool positional = false;
  std::string type = {};  // "FILE", "f32|f64"; empty for a flag, which takes no value
  bool required = false;
  bool repeatable = false;
  bool comma_separated = false;
  std::string help = {};  // the default, if any, included
};

/// One command or subcommand.
struct CommandEntry {
  std::string path = {};  // "data generate"; empty for the program itself
  std::string name = {};  // "generate"
  std::string description = {};
  std::string footer = {};
  bool needs_subcommand = false;
  std::vector<OptionEntry> options = {};  // positionals first
  std::vector<CommandEntry> commands = {};

  /// "--seed UINT", "RUN", "-v, --verbose".
  static std::string heading(const OptionEntry& option);
  /// "lra data generate [OPTIONS] TASK".
  std::string usage() const;
};

/// `app` with everything below it; `path` names it among the commands.
CommandEntry describe(const CLI::App& app, const std::string& path = "");

/// The whole program that `app` is a command of.
CommandEntry describe_program(const CLI::App& app);

/// A part of a footer: "Example:" with the indented lines below it, or a paragraph without a title.
struct FooterBlock {
  std::string title = {};  // without its colon
  std::string text = {};   // of a paragraph
  std::vector<std::string> lines = {};
};

/// Footers are written as "Title:" at the start of a line, with indented lines after it, and as paragraphs.
std::vector<FooterBlock> footer_blocks(const std::string& footer);

}  // namespace lra::harness
