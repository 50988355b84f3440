// The `lra` program: subcommands, and the only place where errors become exit codes.
#include <fmt/format.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <new>
#include <nlohmann/json.hpp>

#include "engine/errors.h"
#include "engine/isa.h"
#include "harness/commands/command.h"
#include "harness/commands/option_table.h"
#include "harness/environment.h"
#include "harness/progress.h"
#include "harness/terminal.h"

namespace {

using namespace lra;

void print_version(bool json) {
  const reports::EnvironmentBlock environment = harness::probe_environment(harness::default_threads());
  if (!json) {
    std::cout << fmt::format("lra {} ({})\nkernels {}, oneDNN {} ({}), Eigen {}, {}\n", environment.lra_version,
                             environment.git_commit, *environment.kernel_isa, environment.onednn, environment.isa,
                             environment.eigen, environment.compiler);
    return;
  }
  const nlohmann::ordered_json version = {
      {"lra_version", environment.lra_version}, {"git_commit", environment.git_commit},
      {"onednn", environment.onednn},           {"isa", environment.isa},
      {"kernel_isa", *environment.kernel_isa},  {"eigen", environment.eigen},
      {"compiler", environment.compiler},       {"flags", environment.flags}};
  std::cout << version.dump(2) << "\n";
}

void print_error(std::string_view what, std::string_view hint) {
  const bool colour = harness::takes_colour(STDERR_FILENO);
  std::cerr << "lra: " << (colour ? "\x1b[1;31m" : "") << "error:" << (colour ? "\x1b[0m " : " ") << what << "\n";
  if (!hint.empty()) std::cerr << "     hint: " << hint << "\n";
}

int report(const Error& error) {
  print_error(error.what(), error.hint());
  return error.exit_code();
}

/// Throws ResourceError when the results did not reach standard output.
int finish_output(int exit_code) {
  std::cout.flush();
  if (!std::cout)
    throw ResourceError("cannot write to standard output", "check where it is redirected to: is the disk full?");
  return exit_code;
}

/// The command that was given, as far as it was understood.
const CLI::App& given_command(const CLI::App& app) {
  const std::vector<CLI::App*> given = app.get_subcommands();
  return given.empty() ? app : given_command(*given.front());
}

/// "data generate".
std::string given_path(const CLI::App& app) {
  const std::vector<CLI::App*> given = app.get_subcommands();
  if (given.empty()) return "";
  const std::string below = given_path(*given.front());
  return given.front()->get_name() + (below.empty() ? "" : " " + below);
}

/// What to type instead: the near commands and flags where one was mistyped.
std::string usage_hint(const CLI::App& app) {
  const harness::CommandEntry command = harness::describe(given_command(app));
  const bool top = app.get_subcommands().empty();
  for (const std::string& unknown : app.remaining(true)) {
    std::vector<std::string> known;
    if (unknown.starts_with("--"))
      for (const harness::OptionEntry& option : command.options)
        if (!option.positional) known.push_back(option.names.back());
    if (!unknown.starts_with("-"))
      for (const harness::CommandEntry& sub : command.commands) known.push_back(sub.name);
    if (!known.empty()) return suggest(unknown.substr(0, unknown.find('=')), known);
  }
  return top ? "`lra --help` lists the commands, `lra COMMAND --help` their flags"
             : fmt::format("`lra {} --help` lists what it takes", given_path(app));
}

/// CLI11's own codes start at 100; ours are a contract.
int report_usage(const CLI::App& app, const CLI::ParseError& error) {
  if (error.get_exit_code() == 0) {  // --help
    app.exit(error);
    return finish_output(kExitOk);
  }
  print_error(error.what(), usage_hint(app));
  return kExitUsage;
}

int run(int argc, char** argv) {
  static_cast<void>(engine::kernel_isa());  // refuses a wrong $LRA_MAX_ISA before anything else happens
  CLI::App app(harness::kDescription, "lra");
  int exit_code = kExitOk;
  bool version = false, json = false;
  CLI::Option* version_flag = app.add_flag("--version", version, "print versions and exit");
  app.add_flag("--json", json, "with --version: as JSON")->needs(version_flag);
  harness::add_commands(app, exit_code);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return report_usage(app, error);
  }
  if (version) {
    print_version(json);
  } else if (app.get_subcommands().empty()) {
    std::cerr << app.help();
    return kExitUsage;
  }
  return finish_output(exit_code);
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_DFL);  // `lra … | head` ends quietly
  std::signal(SIGXFSZ, SIG_IGN);  // above `ulimit -f`, writing fails with an error that can be told
  try {
    return run(argc, argv);
  } catch (const Error& error) {
    return report(error);
  } catch (const std::filesystem::filesystem_error& error) {
    print_error(fmt::format("cannot use {}: {}", error.path1().string(), error.code().message()),
                "check that the path is right, its permissions and its disk");
    return kExitResources;
  } catch (const std::bad_alloc&) {
    print_error("out of memory", "lower --length, --threads or train.lanes");
    return kExitResources;
  } catch (const std::exception& error) {
    print_error(fmt::format("internal: {}", error.what()), "please report this, with the command");
    return kExitInternal;
  }
}
