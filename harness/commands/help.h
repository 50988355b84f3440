// What --help prints: as wide as the window, in a narrow one with descriptions below their options.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "harness/commands/option_table.h"

namespace lra::harness {

/// The help of one command, at most `width` columns wide; commands to be typed are broken with backslashes.
std::string help_text(const CommandEntry& command, int width);

/// Makes CLI11 print help_text().
class HelpFormatter : public CLI::Formatter {
 public:
  std::string make_help(const CLI::App* app, std::string name, CLI::AppFormatMode mode) const override;
};

}  // namespace lra::harness
