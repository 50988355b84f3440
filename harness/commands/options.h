// Flags that several subcommands share, bound to one struct each.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "harness/presets.h"

namespace lra::harness {

// What an option takes, as help shows it and completions know it; choices are written "fused|plain".
inline constexpr const char* kTaskType = "TASK";
inline constexpr const char* kMechanismType = "MECHANISM";
inline constexpr const char* kPresetType = "PRESET";
inline constexpr const char* kFileType = "FILE";
inline constexpr const char* kDirectoryType = "DIR";
inline constexpr const char* kPathType = "PATH";  // a file or a directory
inline constexpr const char* kKeyValueType = "KEY=VALUE";
inline constexpr const char* kCountType = "N";
inline constexpr const char* kNumberType = "X";
inline constexpr const char* kBytesType = "BYTES";

/// Adds an option that takes one of `choices`; anything else is refused with near matches.
CLI::Option* add_choice(CLI::App& command, const std::string& name, std::string& value,
                        const std::vector<std::string>& choices, const std::string& help);

/// train, validation, test.
std::vector<std::string> split_names();

/// "fused|plain" -> fused, plain.
std::vector<std::string> split_choices(const std::string& type);

/// --task, --attention, --preset, --config, --length, --set, --seed.
struct ConfigFlags {
  ConfigRequest request;
  std::string config_file;
  int64_t length = 0;
  uint64_t seed = 0;
  CLI::Option* length_option = nullptr;
  CLI::Option* seed_option = nullptr;

  void add_to(CLI::App& command);
  /// The request as given. Throws UsageError for a length below 1, and for an unknown task or mechanism.
  ConfigRequest value() const;
};

/// Refuses unknown names before anything else is looked at; empty ones pass. Throws UsageError with near matches.
void check_names(const ConfigRequest& request);

/// --threads and --memory-limit.
struct MachineFlags {
  int threads = 0;
  std::string memory_limit;

  void add_to(CLI::App& command);
  /// At least 1; the number of usable cores when not given. Throws UsageError for absurd values.
  int thread_count() const;
  /// 0 when not given. Throws UsageError.
  int64_t memory_limit_bytes() const;
};

/// --seed, within what a configuration can hold. A minus sign is refused, not wrapped around.
CLI::Option* add_seed_flag(CLI::App& command, uint64_t& seed, const std::string& help);

/// Creates and drops a temporary beside `path` if one is given, so that a place that cannot be written is found before
/// the work and not after it. Throws ResourceError; UsageError for a directory.
void require_writable(const std::string& path);

/// --plugin: shared objects are loaded while the command line is read, before the command uses a mechanism's name.
void add_plugin_flag(CLI::App& command);

/// --data.
void add_data_flag(CLI::App& command, std::string& data);

}  // namespace lra::harness
