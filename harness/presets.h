// Presets, configuration files and --set: how a run's configuration comes together.
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "harness/config.h"

namespace lra::harness {

/// The preset when neither --preset nor the configuration file names one.
inline constexpr const char* kDefaultPreset = "small";

/// What was asked for on the command line; empty means not given.
struct ConfigRequest {
  std::string task = {};
  std::string attention = {};
  std::string preset = {};  // a name, or the path of a JSON file of the same form
  std::filesystem::path config_file = {};
  std::vector<std::string> assignments = {};  // of --set, in order
  std::optional<int64_t> sequence_length = {};
  std::optional<uint64_t> seed = {};
  std::filesystem::path init_from = {};  // a safetensors file or a run directory
  int64_t data_length = 0;  // sequence_length where nothing else says it: of data that no preset knows; 0: not known
};

struct ResolvedConfig {
  TrainConfig config;  // derived and validated; the mechanism's own parameters are not
  /// SHA-256 of what the preset alone comes to for this task and mechanism; its name and the seed do not enter.
  std::string preset_sha256;
  std::vector<std::string> citations;
  std::vector<std::string> notes;  // deviations that the preset states, and remarks()
};

/// Field defaults <- the preset's common part <- the task's part <- its overrides for this mechanism <- --config <-
/// --set <- --length, --seed and --init-from. Throws UsageError naming the file and the key; DataError when a file is
/// missing.
ResolvedConfig resolve_config(const ConfigRequest& request);

/// The task whose shape stands for all where none is named: byte-level Text, as in the benchmark's study of efficiency,
/// or the first one while that is not there.
std::string default_task();

struct PresetSummary {
  std::string name;
  std::string citation;
  std::vector<std::string> tasks;  // that have a part of their own
};

/// The presets compiled into the program, by name.
std::vector<PresetSummary> list_presets();

/// Parses JSON text; a key repeated in one object is an error, which JSON readers usually hide. `where` names the text
/// in messages. Throws UsageError.
nlohmann::json parse_strict_json(const std::string& text, const std::string& where);

}  // namespace lra::harness
