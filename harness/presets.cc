#include "harness/presets.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <span>

#include "engine/embedded.h"
#include "engine/errors.h"
#include "engine/io/file.h"
#include "engine/io/json.h"
#include "engine/io/sha256.h"
#include "tasks/registry.h"

namespace lra::embedded {
std::span<const File> presets();
std::span<const File> task_presets();
}  // namespace lra::embedded

namespace lra::harness {
namespace {

using Json = nlohmann::json;

/// One preset file, checked for its form.
struct PresetPart {
  std::string where;  // the file, for messages
  std::string citation;
  std::vector<std::string> notes;
  Json config = Json::object();
  Json attention_overrides = Json::object();  // mechanism -> configuration
  bool requires_task_part = false;            // the common part alone is no model of its source
};

[[noreturn]] void refuse(const std::string& where, const std::string& problem) {
  throw UsageError(fmt::format("{}: {}", where, problem),
                   R"(a preset is {"citation": "...", "notes": [...], "config": {...}, "attention_overrides": {...}})");
}

PresetPart parse_preset(const std::string& text, const std::string& where) {
  const Json json = parse_strict_json(text, where);
  if (!json.is_object()) refuse(where, "the preset is not a JSON object");
  PresetPart part;
  part.where = where;
  for (const auto& [key, value] : json.items()) {
    if (key == "citation" && value.is_string()) {
      part.citation = value.get<std::string>();
    } else if (key == "notes" && value.is_array()) {
      for (const Json& note : value) {
        if (!note.is_string()) refuse(where, fmt::format("[notes] {} is not a text", note.dump()));
        part.notes.push_back(note.get<std::string>());
      }
    } else if (key == "config" && value.is_object()) {
      part.config = value;
    } else if (key == "attention_overrides" && value.is_object()) {
      part.attention_overrides = value;
    } else if (key == "requires_task_part" && value.is_boolean()) {
      part.requires_task_part = value.get<bool>();
    } else {
      refuse(where, fmt::format("[{}] is not a key of a preset, or not of the right kind", key));
    }
  }
  if (part.citation.empty()) refuse(where, "[citation] is missing: a preset says where its values come from");
  return part;
}

/// "harness/presets/small.json" -> "small".
std::string preset_name(std::string_view path) { return std::filesystem::path(path).stem().string(); }

/// The part of a preset that a task's folder holds: `<folder>/presets/<preset>.json` is of the task of that name,
/// `<folder>/presets/<preset>/<name>.json` of the task <name> and of those whose names begin with <name>_.
struct TaskPart {
  std::string preset;
  std::string name;
  bool is_family = false;

  bool applies_to(std::string_view task) const { return task == name || (is_family && task.starts_with(name + "_")); }
};

TaskPart task_part(std::string_view file) {
  const std::filesystem::path path(file), folder = path.parent_path();
  if (folder.filename() == "presets")
    return {.preset = path.stem().string(), .name = folder.parent_path().filename().string()};
  return {.preset = folder.filename().string(), .name = path.stem().string(), .is_family = true};
}

bool is_path(const std::string& preset) { return preset.find('/') != std::string::npos || preset.ends_with(".json"); }

std::vector<PresetPart> parts_of_named_preset(const std::string& preset, const std::string& task) {
  std::vector<PresetPart> parts;
  std::vector<std::string> names;
  for (const embedded::File& file : embedded::presets()) {
    names.push_back(preset_name(file.path));
    if (names.back() == preset) parts.push_back(parse_preset(std::string(file.text), std::string(file.path)));
  }
  if (parts.empty()) {
    throw UsageError(fmt::format("[preset] `{}` is not a preset", preset),
                     suggest(preset, names) + "; or give the path of a JSON file");
  }
  for (const embedded::File& file : embedded::task_presets()) {
    const TaskPart part = task_part(file.path);
    if (part.preset == preset && part.applies_to(task)) {
      parts.push_back(parse_preset(std::string(file.text), std::string(file.path)));
    }
  }
  if (parts.size() == 1 && !task.empty()) {
    const std::string missing = fmt::format("the preset `{}` has no values of its own for task `{}`", preset, task);
    if (parts[0].requires_task_part) {
      throw UsageError(fmt::format("[preset] {}", missing), "use --preset small, or give a JSON file to --preset");
    }
    parts[0].notes.push_back(missing + ": steps, warm-up and evaluation are those common to all tasks");
  }
  return parts;
}

std::vector<PresetPart> preset_parts(const std::string& preset, const std::string& task) {
  if (is_path(preset)) return {parse_preset(io::read_text_file(preset), preset)};
  return parts_of_named_preset(preset, task);
}

/// What a preset may not decide: it is chosen by flags, before the preset is known.
void refuse_identity_keys(const Json& object, const std::string& where) {
  for (const auto& [key, value] : flatten(object, where)) {
    if (key == "task.name" || key == "attention.name" || key == "preset" || key == "seed" ||
        key.starts_with("train.init_") || key.starts_with("attention.plugin")) {
      refuse(where, fmt::format("[{}] is chosen on the command line, not by a preset", key));
    }
  }
}

void apply(const PresetPart& part, ResolvedConfig& resolved) {
  TrainConfig& config = resolved.config;
  refuse_identity_keys(part.config, part.where);
  set_object(config, part.config, part.where);
  for (const auto& [mechanism, overrides] : part.attention_overrides.items()) {
    const std::string where = fmt::format("{}: attention_overrides.{}", part.where, mechanism);
    refuse_identity_keys(overrides, where);
    if (mechanism == config.attention.name) {
      set_object(config, overrides, where);
    } else {
      TrainConfig unused = config;  // so that a mistake is found whichever mechanism is run
      set_object(unused, overrides, where);
    }
  }
  resolved.citations.push_back(part.citation);
  resolved.notes.insert(resolved.notes.end(), part.notes.begin(), part.notes.end());
}

/// The value of a text key in a flattened configuration file; empty when it is not there.
std::string text_in(const std::vector<std::pair<std::string, Json>>& pairs, std::string_view key) {
  for (const auto& [name, value] : pairs) {
    if (name == key && value.is_string()) return value.get<std::string>();
  }
  return "";
}

std::string first_given(std::initializer_list<std::string> candidates) {
  for (const std::string& candidate : candidates) {
    if (!candidate.empty()) return candidate;
  }
  return "";
}

/// Refuses `{"a": 1, "a": 2}`: one key set for each object that is open.
class RepeatedKeys {
 public:
  explicit RepeatedKeys(const std::string& where) : where_(where) {}

  bool operator()(int, Json::parse_event_t event, Json& parsed) {
    if (event == Json::parse_event_t::object_start) {
      open_.emplace_back();
    } else if (event == Json::parse_event_t::object_end) {
      open_.pop_back();
    } else if (event == Json::parse_event_t::key) {
      const auto& key = parsed.get_ref<const std::string&>();
      if (!open_.back().insert(key).second) {
        throw UsageError(fmt::format("{}: [{}] is given twice", where_, key), "keep one of them");
      }
    }
    return true;
  }

 private:
  const std::string& where_;
  std::vector<std::set<std::string>> open_;
};

}  // namespace

Json parse_strict_json(const std::string& text, const std::string& where) {
  RepeatedKeys repeated(where);
  try {
    return io::parse_json<Json>(
        text, [&](int depth, Json::parse_event_t event, Json& parsed) { return repeated(depth, event, parsed); });
  } catch (const Json::exception& error) {
    throw UsageError(fmt::format("{}: not valid JSON: {}", where, error.what()), "mend the file at that place");
  }
}

ResolvedConfig resolve_config(const ConfigRequest& request) {
  const std::string file = request.config_file.string();
  const Json given = file.empty() ? Json::object() : parse_strict_json(io::read_text_file(file), file);
  const auto pairs = flatten(given, file);

  ResolvedConfig resolved;
  TrainConfig& config = resolved.config;
  config.preset = first_given({request.preset, text_in(pairs, "preset"), kDefaultPreset});
  config.task.name = first_given({request.task, text_in(pairs, "task.name")});
  if (const tasks::Task* task = tasks::find_task(config.task.name))
    config.task.name = task->facts().name;  // of an alias
  config.attention.name = first_given({request.attention, text_in(pairs, "attention.name")});
  const TrainConfig identity = config;
  for (const PresetPart& part : preset_parts(config.preset, config.task.name)) apply(part, resolved);
  resolved.preset_sha256 = io::sha256_hex(canonical_json(config, [](const ConfigField& field) {
    return field.key != "preset" && field.key != "seed" && field.key != "attention.name";
  }));

  is_recorded(given, file) ? set_recorded(config, given, file) : set_object(config, given, file);
  config.preset = identity.preset;
  config.task.name = identity.task.name;
  config.attention.name = identity.attention.name;
  for (const std::string& assignment : request.assignments) set_assignment(config, assignment);
  if (request.sequence_length) set_value(config, "sequence_length", *request.sequence_length);
  if (request.seed) set_value(config, "seed", *request.seed);
  if (!request.init_from.empty()) {
    config.train.init_from = request.init_from;
    config.train.init_sha256.clear();
  }
  if (config.sequence_length == 0) config.sequence_length = request.data_length;
  derive(config);
  validate(config);
  for (std::string& remark : remarks(config)) resolved.notes.push_back(std::move(remark));
  return resolved;
}

std::string default_task() {
  return tasks::find_task("text") != nullptr ? "text" : tasks::all_tasks().front()->facts().name;
}

std::vector<PresetSummary> list_presets() {
  std::vector<PresetSummary> summaries;
  for (const embedded::File& file : embedded::presets()) {
    PresetSummary summary;
    summary.name = preset_name(file.path);
    summary.citation = parse_preset(std::string(file.text), std::string(file.path)).citation;
    for (const embedded::File& part : embedded::task_presets()) {
      if (task_part(part.path).preset == summary.name) summary.tasks.push_back(task_part(part.path).name);
    }
    summaries.push_back(std::move(summary));
  }
  std::sort(summaries.begin(), summaries.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return summaries;
}

}  // namespace lra::harness
