#include "harness/commands/options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "attention/registry.h"
#include "engine/errors.h"
#include "engine/io/file.h"
#include "harness/environment.h"
#include "harness/memory.h"
#include "harness/plugins.h"
#include "tasks/registry.h"
#include "tasks/split.h"

namespace lra::harness {

CLI::Option* add_choice(CLI::App& command, const std::string& name, std::string& value,
                        const std::vector<std::string>& choices, const std::string& help) {
  const auto check = [name, choices](const std::string& text) {
    if (std::find(choices.begin(), choices.end(), text) != choices.end()) return std::string();
    throw UsageError(fmt::format("{} {}: not one of its values", name, text), suggest(text, choices));
  };
  return command.add_option(name, value, help)->type_name(fmt::format("{}", fmt::join(choices, "|")))->check(check);
}

std::vector<std::string> split_names() {
  std::vector<std::string> names;
  for (const tasks::SplitName name : tasks::kSplitNames) names.emplace_back(tasks::split_text(name));
  return names;
}

std::vector<std::string> split_choices(const std::string& type) { return CLI::detail::split(type, '|'); }

void ConfigFlags::add_to(CLI::App& command) {
  command.add_option("--task", request.task, "task, see `lra list tasks`")->type_name(kTaskType);
  command.add_option("--attention", request.attention, "mechanism, see `lra list attention`")
      ->type_name(kMechanismType);
  command.add_option("--preset", request.preset, "preset, see `lra list presets`, or a JSON file (default: small)")
      ->type_name(kPresetType);
  command.add_option("--config", config_file, "JSON file of configuration keys, for example a run's config.json")
      ->type_name(kFileType);
  length_option =
      command
          .add_option(
              "--length", length,
              "sequence length n in tokens (default: the preset's; of your own data, that of the longest example)")
          ->type_name(kCountType);
  command.add_option("--set", request.assignments, "any key of `lra train --help-config`, repeatable")
      ->type_name(kKeyValueType)
      ->expected(1)
      ->take_all();
  seed_option = add_seed_flag(command, seed, "seed of weights, dropout and order (default: 0)");
}

ConfigRequest ConfigFlags::value() const {
  ConfigRequest asked = request;
  asked.config_file = config_file;
  if (*length_option) {
    if (length < 1) throw UsageError(fmt::format("[--length] {} is below 1 token", length), "give a positive length");
    asked.sequence_length = length;
  }
  if (*seed_option) asked.seed = seed;
  check_names(asked);
  return asked;
}

void check_names(const ConfigRequest& request) {
  if (!request.task.empty()) tasks::task_named(request.task);
  if (!request.attention.empty()) attention::find(request.attention);
}

void MachineFlags::add_to(CLI::App& command) {
  command.add_option("--threads", threads, "worker threads; results do not depend on it (default: usable cores)")
      ->type_name(kCountType);
  command
      .add_option("--memory-limit", memory_limit,
                  "e.g. 4G (default: what is available): above it less runs at once, or nothing")
      ->type_name(kBytesType);
}

int MachineFlags::thread_count() const {
  constexpr int kMostThreads = 1024;
  if (threads < 0 || threads > kMostThreads)
    throw UsageError(fmt::format("[--threads] {} is outside 1..{}", threads, kMostThreads),
                     "leave it out to use every core of this process");
  return threads == 0 ? default_threads() : threads;
}

int64_t MachineFlags::memory_limit_bytes() const {
  return memory_limit.empty() ? 0 : parse_bytes(memory_limit.c_str());
}

CLI::Option* add_seed_flag(CLI::App& command, uint64_t& seed, const std::string& help) {
  constexpr int64_t kLargest = (int64_t{1} << 53) - 1;  // what every reader of JSON keeps exactly
  return command.add_option("--seed", seed, help)
      ->check(CLI::Range(int64_t{0}, kLargest).description(""))
      ->type_name(kCountType);
}

void require_writable(const std::string& path) {
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::status(path, error);
  const bool is_stream = std::filesystem::exists(status) && !std::filesystem::is_regular_file(status) &&
                         !std::filesystem::is_directory(status);
  if (!path.empty() && !is_stream) io::AtomicFile{path};  // whoever reads a pipe would see its end
}

void add_plugin_flag(CLI::App& command) {
  command
      .add_option_function<std::vector<std::string>>(
          "--plugin",
          [](const std::vector<std::string>& paths) {
            for (const std::string& path : paths) load_plugin(path);
          },
          "shared object with mechanisms of your own (docs/adding-a-mechanism.md); repeatable")
      ->type_name(kFileType)
      ->expected(1)
      ->take_all();
}

void add_data_flag(CLI::App& command, std::string& data) {
  command.add_option("--data", data, "directory of prepared data sets (default: $LRA_DATA, else ~/.cache/lra)")
      ->type_name(kDirectoryType);
}

}  // namespace lra::harness
