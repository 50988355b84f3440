// All commands of `lra`, and what its own --help says.
#include "harness/commands/command.h"
#include "harness/commands/help.h"
#include "harness/progress.h"

namespace lra::harness {
namespace {

/// A flag that every command takes, before or after its name.
void add_quiet_flag(CLI::App& app) {
  app.add_flag_callback(
      "--quiet", [] { set_quiet(true); }, "no progress and no notes on standard error");
  for (CLI::App* command : app.get_subcommands([](CLI::App*) { return true; })) add_quiet_flag(*command);
}

constexpr const char* kFooter =
    "Start here:\n"
    "  lra data generate listops --data DIR\n"
    "  lra train --task listops --attention cosformer --data DIR\n"
    "  lra train --help\n\n"
    "Exit status:\n"
    "  0    all went well\n"
    "  1    a check failed (selftest)\n"
    "  2    usage or configuration: nothing was done\n"
    "  3    data missing or corrupt\n"
    "  4    the run failed or diverged\n"
    "  5    memory or disk\n"
    "  70   a mistake of this program\n"
    "  130  interrupted (SIGINT), after a checkpoint\n"
    "  143  terminated (SIGTERM), after a checkpoint\n\n"
    "Environment:\n"
    "  LRA_DATA             where prepared data sets are, unless --data says so\n"
    "  XDG_CACHE_HOME       else they are in its folder lra (default: ~/.cache)\n"
    "  LRA_MAX_ISA          most that kernels and oneDNN may use: sse2, avx2 or avx512\n"
    "  SLURM_CPUS_PER_TASK  the default of --threads\n"
    "  NO_COLOR             set to anything: no colours\n"
    "  COLUMNS              columns of the window, where its own number is not to be believed\n"
    "  TERM                 dumb: plain lines instead of a bar";

}  // namespace

void add_commands(CLI::App& app, int& exit_code) {
  app.set_help_flag("-h,--help", "print this help and exit");  // commands inherit it
  app.formatter(std::make_shared<HelpFormatter>());
  app.footer(kFooter);
  app.fallthrough(false);
  app.require_subcommand(0, 1);
  add_list_command(app, exit_code);
  add_data_command(app, exit_code);
  add_train_command(app, exit_code);
  add_eval_command(app, exit_code);
  add_predict_command(app, exit_code);
  add_attend_command(app, exit_code);
  add_bench_command(app, exit_code);
  add_selftest_command(app, exit_code);
  add_completions_command(app, exit_code);
  add_man_command(app, exit_code);
  add_quiet_flag(app);
}

}  // namespace lra::harness
