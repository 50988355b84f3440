// lra man: the manual page, made from the option table.
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <iostream>

#include "harness/commands/command.h"
#include "harness/commands/option_table.h"
#include "harness/environment.h"

namespace lra::harness {
namespace {

/// Text that roff takes as it is; a line may not begin with what roff reads as a request.
std::string roff(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '\\') {
      escaped += "\\e";
    } else if (c == '-') {
      escaped += "\\-";
    } else {
      escaped += c;
    }
  }
  return escaped.starts_with('.') || escaped.starts_with('\'') ? "\\&" + escaped : escaped;
}

std::string upper(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return text;
}

std::string definition(const std::string& name, const std::string& text) {
  return fmt::format(".TP\n\\fB{}\\fR\n{}\n", roff(name), roff(text));
}

std::string footer(const std::string& text, bool top) {
  std::string page;
  for (const FooterBlock& block : footer_blocks(text)) {
    if (!block.text.empty()) page += ".PP\n" + roff(block.text) + "\n";
    if (block.title.empty()) continue;
    page += top ? fmt::format(".SH {}\n", upper(roff(block.title))) : fmt::format(".PP\n{}:\n", roff(block.title));
    bool typing = false;
    for (const std::string& line : block.lines) {
      const size_t gap = line.find("  ");
      const bool typed = line.starts_with("lra ") || gap == std::string::npos;
      if (typed != typing) page += typed ? ".RS 4\n.nf\n" : ".fi\n.RE\n";
      typing = typed;
      page +=
          typed ? roff(line) + "\n" : definition(line.substr(0, gap), line.substr(line.find_first_not_of(' ', gap)));
    }
    if (typing) page += ".fi\n.RE\n";
  }
  return page;
}

std::string options(const CommandEntry& command) {
  std::string page;
  for (const OptionEntry& option : command.options) page += definition(CommandEntry::heading(option), option.help);
  return page;
}

std::string command_section(const CommandEntry& command) {
  if (!command.commands.empty()) {
    std::string page;
    for (const CommandEntry& sub : command.commands) page += command_section(sub);
    return page;
  }
  return fmt::format(".SS \"{}\"\n{}.\n.PP\n\\fB{}\\fR\n", roff("lra " + command.path), roff(command.description),
                     roff(command.usage())) +
         options(command) + footer(command.footer, false);
}

std::string manual(const CommandEntry& program) {
  std::string page = fmt::format(
      ".\\\" made by `lra man`\n.TH LRA 1 \"\" \"lra {}\" \"User Commands\"\n.SH NAME\nlra \\- {}\n.SH "
      "SYNOPSIS\n\\fB{}\\fR\n",
      lra_version(), roff(program.description), roff(program.usage()));
  page += ".SH OPTIONS\n" + options(program) + ".SH COMMANDS\n";
  for (const CommandEntry& command : program.commands) page += command_section(command);
  return page + footer(program.footer, true);
}

}  // namespace

void add_man_command(CLI::App& app, int&) {
  CLI::App* command = app.add_subcommand("man", "print the manual page");
  command->footer("Example:\n  lra man | man -l -");
  command->callback([&app] { std::cout << manual(describe_program(app)); });
}

}  // namespace lra::harness
