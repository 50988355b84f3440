// Mechanisms from shared objects (`--plugin`): loading them, and what a run keeps of them.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "attention/attention.h"
#include "harness/config.h"

namespace lra::harness {

/// A shared object that was loaded.
struct Plugin {
  std::string file;    // its name without a directory: "libmine.so"
  std::string given;   // as it was asked for, to be typed again
  std::string sha256;  // of the file
  std::vector<std::string> mechanisms;
};

/// Loads a shared object and registers its mechanisms; nothing happens when it is loaded already. It stays loaded.
/// Throws UsageError, with nothing registered, when the file does not exist or is no plug-in, was built for another
/// version of this program, asks for functions that this program does not have, throws, or registers nothing or what
/// cannot stand beside the other mechanisms.
void load_plugin(const std::string& path);

/// All that are loaded, in order.
const std::vector<Plugin>& loaded_plugins();

/// The plug-in that a mechanism comes from; null for those of the program and for unknown ones.
const Plugin* plugin_with(const std::string& attention);

/// "lra selftest --plugin ./libmine.so --attention mine": a command on one mechanism.
std::string command_on(const std::string& command, const std::string& attention);

/// The mechanism of a configuration. Throws UsageError for an unknown one; where the configuration says which plug-in
/// it is from, the hint is what to type.
const attention::Mechanism& mechanism_of(const TrainConfig& config);

/// Writes into the configuration where its mechanism comes from: file name and SHA-256, or nothing.
void fill_in_plugin(TrainConfig& config);

/// "attention mine was from libmine.so of SHA-256 … when the run started, and is from …" for a run whose configuration
/// is `earlier`; empty where it is from the same.
std::string changed_plugin(const TrainConfig& earlier, const TrainConfig& config);

}  // namespace lra::harness
