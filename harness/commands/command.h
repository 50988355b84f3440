// What a subcommand of `lra` is: one file in this folder, one function here, one line in program.cc.
#pragma once

#include <CLI/CLI.hpp>

namespace lra::harness {

inline constexpr const char* kDescription =
    "Long-Range Arena on CPUs: train, measure and compare attention mechanisms on long sequences.";

/// Adds every command, and what they share: --help, --quiet, exit codes and environment in the help of `app`.
void add_commands(CLI::App& app, int& exit_code);

/// Each adds one subcommand to `app`. The subcommand's callback does the work, throws lra::Error on failure and stores
/// a code other than 0 in `exit_code` when the work itself ended otherwise (an interrupted or diverged run).
void add_list_command(CLI::App& app, int& exit_code);
void add_data_command(CLI::App& app, int& exit_code);
void add_train_command(CLI::App& app, int& exit_code);
void add_eval_command(CLI::App& app, int& exit_code);
void add_predict_command(CLI::App& app, int& exit_code);
void add_attend_command(CLI::App& app, int& exit_code);
void add_bench_command(CLI::App& app, int& exit_code);
void add_selftest_command(CLI::App& app, int& exit_code);
void add_completions_command(CLI::App& app, int& exit_code);
void add_man_command(CLI::App& app, int& exit_code);

/// Adds the subcommand of `lra data` that downloads.
void add_fetch_command(CLI::App& data, int& exit_code);

}  // namespace lra::harness
