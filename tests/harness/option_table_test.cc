// The option table, and what is made of it: help, completions for three shells, the manual page.
#include "harness/commands/option_table.h"

#include <algorithm>
#include <fstream>

#include "engine/errors.h"
#include "harness/commands/command.h"
#include "harness/commands/help.h"
#include "tests/harness/program.h"
#include "tests/harness/terminal.h"

namespace lra::testing {
namespace {

using harness::CommandEntry;
using harness::OptionEntry;
using ::testing::HasSubstr;

CommandEntry program() {
  CLI::App app(harness::kDescription, "lra");
  int exit_code = 0;
  harness::add_commands(app, exit_code);
  return harness::describe(app);
}

void for_each_option(const CommandEntry& command,
                     const std::function<void(const CommandEntry&, const OptionEntry&)>& visit) {
  for (const OptionEntry& option : command.options) visit(command, option);
  for (const CommandEntry& sub : command.commands) for_each_option(sub, visit);
}

class OptionTableTest : public ProgramTest {
 protected:
  static bool has(const std::string& tool) {
    return std::system(("command -v " + tool + " > /dev/null 2>&1").c_str()) == 0;
  }
};

TEST_F(OptionTableTest, EveryOptionSaysWhatItTakes) {
  for_each_option(program(), [](const CommandEntry& command, const OptionEntry& option) {
    SCOPED_TRACE(command.path + " " + option.names[0]);
    EXPECT_FALSE(option.help.empty());
    for (const char* untyped : {"TEXT", "INT", "UINT", "FLOAT"})  // CLI11's own words
      EXPECT_EQ(option.type.find(untyped), std::string::npos) << option.type;
  });
}

TEST_F(OptionTableTest, EveryCommandHasExamples) {
  for (const CommandEntry& command : program().commands) EXPECT_THAT(command.footer, HasSubstr("lra " + command.path));
}

TEST_F(OptionTableTest, EveryOptionIsInTheHelpOfItsCommand) {
  for (const int width : {40, 80})
    for_each_option(program(), [&](const CommandEntry& command, const OptionEntry& option) {
      EXPECT_THAT(harness::help_text(command, width), HasSubstr("  " + CommandEntry::heading(option)));
    });
}

TEST_F(OptionTableTest, EveryOptionIsInTheManualAndInEveryCompletion) {
  const std::string manual = run({"man"}).out, bash = run({"completions", "bash"}).out,
                    zsh = run({"completions", "zsh"}).out, fish = run({"completions", "fish"}).out;
  for_each_option(program(), [&](const CommandEntry& command, const OptionEntry& option) {
    if (option.positional) return;
    SCOPED_TRACE(command.path + " " + option.names[0]);
    for (const std::string& name : option.names) {
      std::string escaped;
      for (const char c : name) escaped += c == '-' ? "\\-" : std::string(1, c);
      EXPECT_THAT(manual, HasSubstr(escaped));
      const size_t at = bash.find("    '" + command.path + "') options=");
      ASSERT_NE(at, std::string::npos);
      EXPECT_THAT(bash.substr(at, bash.find('\n', at) - at), ::testing::ContainsRegex("[' ]" + name + "[' ]"));
      EXPECT_THAT(zsh, HasSubstr("'" + std::string(option.repeatable ? "*" : "") + name));
      EXPECT_THAT(fish, HasSubstr(name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1)));
    }
  });
}

TEST_F(OptionTableTest, ShellsAndManualReadersTakeThem) {
  const auto accepts = [&](const Arguments& print, const std::string& tool, const std::string& check) {
    write_bytes(path("printed"), run(print).out);
    if (!has(tool)) return;
    EXPECT_EQ(std::system((check + " '" + text("printed") + "' > '" + text("said") + "' 2>&1").c_str()), 0)
        << tool << ": " << read_bytes(path("said"));
    EXPECT_EQ(read_bytes(path("said")), "") << tool;
  };
  accepts({"completions", "bash"}, "bash", "bash -n");
  accepts({"completions", "zsh"}, "zsh", "zsh -n");
  accepts({"completions", "fish"}, "fish", "fish --no-execute");
  accepts({"man"}, "mandoc", "mandoc -T lint -W error");
  accepts({"man"}, "groff", "groff -Kutf8 -man -Tutf8 -ww -z");
}

TEST_F(OptionTableTest, AnInteractiveBashCompletes) {
  ASSERT_TRUE(has("bash"));
  write_bytes(path("script"), run({"completions", "bash"}).out);
  fs::create_directory(path("runs"));
  Terminal bash({"bash", "--norc", "--noprofile", "-i"}, directory_.path().string(), 200,
                {{"TERM", "dumb"}, {"PS1", "$ "}, {"HOME", directory_.path().string()}, {"INPUTRC", "/dev/null"}});
  ASSERT_TRUE(bash.exists());
  bash.type("bind 'set bell-style none'; source ./script; echo ready$((1))\n");
  ASSERT_TRUE(bash.shows("ready1")) << bash.screen();
  const std::vector<std::pair<std::string, std::string>> typed_and_shown = {
      {"lra tr\t", "lra train "},
      {"lra train --att\t", "--attention "},
      {"lra train --attention co\t", "cosformer "},
      {"lra train --attention=co\t", "cosformer "},
      {"lra train --preset sm\t", "small "},
      {"lra train --set train.batch\t", "train.batch_size="},
      {"lra train --set model.gelu=t\t", "model.gelu=tanh "},
      {"lra bench --attention softmax,co\t", "softmax,cosformer "},
      {"lra data gen\t", "generate "},
      {"lra data generate lis\t", "listops "},
      {"lra attend --dtype f6\t", "f64 "},
      {"lra eval ru\t", "runs/"}};
  for (const auto& [typed, shown] : typed_and_shown) {
    bash.type(typed);
    ASSERT_TRUE(bash.shows(shown)) << typed << "\n" << bash.screen();
    bash.type("\x15");  // forget the line
  }
}

}  // namespace
}  // namespace lra::testing
