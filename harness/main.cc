// The `lra` program: subcommands, and the only place where errors become exit codes.
#include <fmt/format.h>

#include <csignal>
#include <cstdio>
#include <iostream>
#include <new>
#include <nlohmann/json.hpp>

#include "engine/errors.h"
#include "engine/isa.h"
#include "harness/commands/command.h"
#include "harness/environment.h"
#include "harness/progress.h"

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

int report(const Error& error) {
  std::cerr << "lra: error: " << error.what() << "\n";
  if (!error.hint().empty()) std::cerr << "     hint: " << error.hint() << "\n";
  return error.exit_code();
}

/// Throws ResourceError when the results did not reach standard output.
int finish_output(int exit_code) {
  std::cout.flush();
  if (!std::cout)
    throw ResourceError("cannot write to standard output", "check where it is redirected to: is the disk full?");
  return exit_code;
}

/// A flag that every command takes, before or after its name.
void add_quiet_flag(CLI::App& app) {
  app.add_flag_callback(
      "--quiet", [] { harness::set_quiet(true); }, "no progress and no notes on standard error");
  for (CLI::App* command : app.get_subcommands([](CLI::App*) { return true; })) add_quiet_flag(*command);
}

/// CLI11's own codes start at 100; ours are a contract.
int report_usage(const CLI::App& app, const CLI::ParseError& error) {
  if (error.get_exit_code() == 0) {  // --help
    app.exit(error);
    return finish_output(kExitOk);
  }
  std::string hint = "`lra --help` lists the commands, `lra COMMAND --help` their flags";
  const std::vector<std::string> unknown = app.remaining();
  if (app.get_subcommands().empty() && !unknown.empty() && !unknown.front().starts_with("-")) {
    std::vector<std::string> commands;
    for (const CLI::App* command : app.get_subcommands({})) commands.push_back(command->get_name());
    hint = suggest(unknown.front(), commands);
  }
  std::cerr << "lra: error: " << error.what() << "\n     hint: " << hint << "\n";
  return kExitUsage;
}

int run(int argc, char** argv) {
  static_cast<void>(engine::kernel_isa());  // refuses a wrong $LRA_MAX_ISA before anything else happens
  CLI::App app("Long-Range Arena on CPUs: train, measure and compare attention mechanisms on long sequences.", "lra");
  app.footer(
      "Start here:\n  lra data generate listops --data DIR\n"
      "  lra train --task listops --attention cosformer --data DIR\n"
      "Environment:\n"
      "  LRA_DATA     where prepared data sets are\n"
      "  LRA_MAX_ISA  most that kernels and oneDNN may use: sse2, avx2 or avx512");
  int exit_code = kExitOk;
  bool version = false, json = false;
  CLI::Option* version_flag = app.add_flag("--version", version, "print versions and exit");
  app.add_flag("--json", json, "with --version: as JSON")->needs(version_flag);
  app.fallthrough(false);
  app.require_subcommand(0, 1);
  harness::add_list_command(app, exit_code);
  harness::add_data_command(app, exit_code);
  harness::add_train_command(app, exit_code);
  harness::add_eval_command(app, exit_code);
  harness::add_predict_command(app, exit_code);
  harness::add_attend_command(app, exit_code);
  harness::add_bench_command(app, exit_code);
  harness::add_selftest_command(app, exit_code);
  add_quiet_flag(app);
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
  try {
    return run(argc, argv);
  } catch (const Error& error) {
    return report(error);
  } catch (const std::bad_alloc&) {
    std::cerr << "lra: error: out of memory\n     hint: lower --length, --threads or train.lanes\n";
    return kExitResources;
  } catch (const std::exception& error) {
    std::cerr << "lra: internal error: " << error.what() << "\n     hint: please report this, with the command\n";
    return kExitInternal;
  }
}
