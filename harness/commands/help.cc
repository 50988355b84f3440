#include "harness/commands/help.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <sstream>

#include "harness/terminal.h"
#include "reports/page.h"

namespace lra::harness {
namespace {

constexpr int kUsualWidth = 80, kMostWidth = 100;
constexpr int kNarrow = 60;  // below it, descriptions have lines of their own
constexpr size_t kNameWidth = 25;

std::string indented(const std::string& text, int indent, int width) {
  return std::string(static_cast<size_t>(indent), ' ') + reports::wrap(text, width - indent, 0);
}

/// Every line of `text` after `indent` spaces.
std::string block(const std::string& text, int indent, int width) {
  std::istringstream lines(reports::wrap(text, width - indent));
  std::string all;
  for (std::string line; std::getline(lines, line);) all += std::string(static_cast<size_t>(indent), ' ') + line + "\n";
  return all;
}

std::string entry(const std::string& name, const std::string& description, int width) {
  if (width < kNarrow) return block(name, 2, width) + block(description, 6, width);
  const int indent = static_cast<int>(kNameWidth) + 2;
  std::string text = block(description, indent, width);
  if (reports::columns_of(name) + 1 > kNameWidth) return "  " + name + "\n" + text;
  return fmt::format("  {:<{}}", name, kNameWidth) + text.substr(std::min(text.size(), static_cast<size_t>(indent)));
}

/// The words of a command; an option stays with its value.
std::vector<std::string> units_of(const std::string& line) {
  std::vector<std::string> units;
  std::istringstream words(line);
  bool wants_value = false;
  for (std::string word; words >> word;) {
    const bool option = word.starts_with("-");
    if (wants_value && !option) {
      units.back() += " " + word;
    } else {
      units.push_back(word);
    }
    wants_value = option;
  }
  return units;
}

/// A line to be typed, broken so that it can be copied from a narrow window.
std::string command_line(const std::string& command, int width) {
  std::string all, line = " ";
  for (const std::string& unit : units_of(command)) {
    if (line.size() > 4 && static_cast<int>(line.size() + unit.size()) + 3 > width) {
      all += line + " \\\n";
      line = "   ";
    }
    line += " " + unit;
  }
  return all + line + "\n";
}

bool is_typed(const std::string& line) { return line.starts_with("lra "); }

std::string footer(const std::string& text, int width) {
  std::string all;
  for (const FooterBlock& part : footer_blocks(text)) {
    all += "\n";
    if (!part.text.empty()) all += block(part.text, 0, width);
    if (!part.title.empty()) all += part.title + ":\n";
    for (const std::string& line : part.lines) {
      const size_t gap = line.find("  ");
      if (is_typed(line) || gap == std::string::npos) {
        all += is_typed(line) ? command_line(line, width) : block(line, 2, width);
      } else {
        all += entry(line.substr(0, gap), line.substr(line.find_first_not_of(' ', gap)), width);
      }
    }
  }
  return all;
}

}  // namespace

std::string help_text(const CommandEntry& command, int width) {
  std::string text = block(command.description, 0, width);
  text += "\nUsage:\n" + indented(command.usage(), 2, width) + "\n";
  for (const bool positional : {true, false}) {
    std::string entries;
    for (const OptionEntry& option : command.options)
      if (option.positional == positional) entries += entry(CommandEntry::heading(option), option.help, width);
    if (!entries.empty()) text += (positional ? "\nArguments:\n" : "\nOptions:\n") + entries;
  }
  if (!command.commands.empty()) text += "\nCommands:\n";
  for (const CommandEntry& sub : command.commands) text += entry(sub.name, sub.description, width);
  return text + footer(command.footer, width);
}

std::string HelpFormatter::make_help(const CLI::App* app, std::string, CLI::AppFormatMode) const {
  std::string path;
  for (const CLI::App* at = app; at->get_parent() != nullptr; at = at->get_parent())
    path = at->get_name() + (path.empty() ? "" : " " + path);
  return help_text(describe(*app, path), std::min(kMostWidth, columns(STDOUT_FILENO, kUsualWidth)));
}

}  // namespace lra::harness
