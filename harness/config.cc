#include "harness/config.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <set>

#include "engine/errors.h"
#include "engine/io/json.h"
#include "engine/io/sha256.h"

namespace lra::harness {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kAttentionPrefix = "attention.";

const ConfigField* find_field(std::string_view key) {
  const auto& fields = config_fields();
  const auto found = std::find_if(fields.begin(), fields.end(), [&](const ConfigField& f) { return f.key == key; });
  return found == fields.end() ? nullptr : &*found;
}

[[noreturn]] void refuse_unknown(const std::string& key) {
  std::vector<std::string> known;
  for (const ConfigField& field : config_fields()) known.push_back(field.key);
  known.emplace_back("attention.<parameter of the mechanism>");
  std::string hint = suggest(key, known);
  if (key.starts_with("task."))
    hint += "; what data are like is set when they are made: lra data import (or generate) TASK --set " + key;
  throw UsageError(fmt::format("[{}] is not a configuration key", key), hint);
}

/// Keys are checked here because a mistyped `attention.` key reaches the mechanism only later.
bool is_parameter_name(std::string_view name) {
  const auto allowed = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; };
  return !name.empty() && std::all_of(name.begin(), name.end(), allowed);
}

void set_parameter(TrainConfig& config, const std::string& key, const Json& value) {
  const std::string name = key.substr(kAttentionPrefix.size());
  if (!is_parameter_name(name)) refuse_unknown(key);
  if (value.is_null() || value.is_object() || (value.is_number_float() && !std::isfinite(value.get<double>()))) {
    throw UsageError(fmt::format("[{}] {} is not a value of a parameter", key,
                                 value.is_number_float() ? fmt::format("{}", value.get<double>()) : value.dump()),
                     "give a finite number, true, false, a text or a list of these");
  }
  config.attention.parameters[name] = value;
}

/// The whole of `text` as a finite or non-finite number; integers stay integers. Null when it is not a number.
Json parse_number(std::string_view text) {
  const char* end = text.data() + text.size();
  int64_t integer = 0;
  if (const auto [stop, error] = std::from_chars(text.data(), end, integer); error == std::errc() && stop == end) {
    return integer;
  }
  double number = 0;
  if (const auto [stop, error] = std::from_chars(text.data(), end, number); error == std::errc() && stop == end) {
    return number;
  }
  return nullptr;
}

Json parse_for(const ConfigField& field, const std::string& text) {
  if (field.kind == "boolean" && (text == "true" || text == "false")) return text == "true";
  if (field.kind == "integer" || field.kind == "number") {
    Json number = parse_number(text);
    if (!number.is_null()) return number;
  }
  return text;
}

Json parse_parameter(const std::string& text) {
  Json number = parse_number(text);  // takes nan and inf, to be refused by name
  if (!number.is_null()) return number;
  try {
    Json json = io::parse_json<Json>(text);
    return json.is_object() || json.is_null() ? Json(text) : json;
  } catch (const Json::exception&) {
    return text;
  }
}

void flatten_into(const Json& object, const std::string& prefix, std::vector<std::pair<std::string, Json>>& pairs) {
  for (const auto& [name, value] : object.items()) {
    const std::string key = prefix.empty() ? name : prefix + "." + name;
    if (value.is_object()) {
      flatten_into(value, key, pairs);
    } else {
      pairs.emplace_back(key, value);
    }
  }
}

std::string range_text(const ConfigField& field) {
  if (field.kind == "choice") return fmt::format("{}", fmt::join(field.choices, "|"));
  if (field.kind == "boolean") return "true|false";
  if (field.kind == "text") return "text";
  return fmt::format("{} to {}{}{}", field.minimum, field.maximum, field.unit.empty() ? "" : " ", field.unit);
}

}  // namespace

void set_value(TrainConfig& config, const std::string& key, const Json& value) {
  if (const ConfigField* field = find_field(key)) {
    field->set(config, value);
  } else if (key.starts_with(kAttentionPrefix)) {
    set_parameter(config, key, value);
  } else {
    refuse_unknown(key);
  }
}

void set_assignment(TrainConfig& config, const std::string& assignment) {
  const size_t equals = assignment.find('=');
  if (equals == std::string::npos || equals == 0) {
    throw UsageError(fmt::format("--set {} is not of the form key=value", assignment), "--set train.batch_size=16");
  }
  const std::string key = assignment.substr(0, equals);
  const std::string text = assignment.substr(equals + 1);
  const ConfigField* field = find_field(key);
  if (field != nullptr && !field->assignable) {
    throw UsageError(fmt::format("[{}] is not set by --set: {}", key, field->help),
                     fmt::format("use the flag in parentheses, with {}", text.empty() ? "a value" : text));
  }
  if (field == nullptr && !key.starts_with(kAttentionPrefix)) refuse_unknown(key);
  if (text.empty()) throw UsageError(fmt::format("[{}] has no value", key), fmt::format("--set {}=VALUE", key));
  set_value(config, key, field != nullptr ? parse_for(*field, text) : parse_parameter(text));
}

std::vector<std::pair<std::string, Json>> flatten(const Json& object, const std::string& where) {
  if (!object.is_object()) {
    throw UsageError(fmt::format("{}: the configuration is not a JSON object", where),
                     R"(write it as {"train": {"steps": 100}})");
  }
  std::vector<std::pair<std::string, Json>> pairs;
  flatten_into(object, "", pairs);
  std::set<std::string> seen;
  for (const auto& [key, value] : pairs) {
    if (!seen.insert(key).second) {
      throw UsageError(fmt::format("{}: [{}] is given twice, dotted and nested", where, key), "keep one of them");
    }
  }
  return pairs;
}

void set_object(TrainConfig& config, const Json& object, const std::string& where) {
  for (const auto& [key, value] : flatten(object, where)) {
    try {
      set_value(config, key, value);
    } catch (const UsageError& error) {
      throw UsageError(fmt::format("{}: {}", where, error.what()), error.hint());
    }
  }
}

bool is_recorded(const Json& object, const std::string& where) {
  std::set<std::string> given;
  for (const auto& [key, value] : flatten(object, where)) given.insert(key);
  return std::all_of(config_fields().begin(), config_fields().end(), [&](const ConfigField& field) {
    return field.is_late() || field.kind == "text" || given.contains(field.key);
  });
}

void set_recorded(TrainConfig& config, const Json& object, const std::string& where) {
  for (const ConfigField& field : config_fields())
    if (field.is_late()) field.set(config, field.unsaid.front());
  set_object(config, object, where);
}

void derive(TrainConfig& config) {
  ModelConfig& model = config.model;
  if (model.d_head == 0) {
    if (model.d_model % model.heads != 0) {
      throw UsageError(
          fmt::format("[model.d_model] {} is not divisible by model.heads = {}", model.d_model, model.heads),
          "change one of them, or give model.d_head");
    }
    model.d_head = model.d_model / model.heads;
  }
  if (model.d_classifier == 0) model.d_classifier = model.d_ffn;
  if (model.nominal_length == 0) {
    const int64_t cls = model.has_cls() ? 1 : 0;
    const auto rows = static_cast<uint64_t>(config.sequence_length + cls);
    model.nominal_length = model.nominal_rounding == NominalRounding::kPowerOfTwo
                               ? static_cast<int64_t>(std::bit_ceil(rows)) - cls
                               : config.sequence_length;
  }
}

void validate(const TrainConfig& config) {
  const ModelConfig& model = config.model;
  const OptimisationConfig& train = config.train;
  if (config.task.name.empty()) throw UsageError("[task.name] no task is given", "--task listops");
  if (config.attention.name.empty()) throw UsageError("[attention.name] no mechanism is given", "--attention softmax");
  if (config.sequence_length < 1) {
    throw UsageError(
        fmt::format("[sequence_length] the preset `{}` has none for task {}", config.preset, config.task.name),
        "give --length N");
  }
  if (model.nominal_length < config.sequence_length) {
    throw UsageError(fmt::format("[model.nominal_length] {} is below sequence_length {}", model.nominal_length,
                                 config.sequence_length),
                     "raise it, set it to 0 to derive it, or lower --length");
  }
  if (model.positions == Positions::kSinusoidal && model.d_model % 2 != 0) {
    throw UsageError(fmt::format("[model.d_model] {} is odd; sinusoidal positions need pairs", model.d_model),
                     "make it even, or --set model.positions=learned");
  }
  if (train.clip_norm > 0 && train.clip_value > 0) {
    throw UsageError(
        fmt::format("[train.clip_norm] {} and train.clip_value = {} are both on", train.clip_norm, train.clip_value),
        "set one of them to 0");
  }
}

std::vector<std::string> remarks(const TrainConfig& config) {
  std::vector<std::string> texts;
  const OptimisationConfig& train = config.train;
  if (train.schedule != Schedule::kConstant && train.warmup_steps >= train.steps) {
    texts.push_back(
        fmt::format("train.warmup_steps = {} is not below train.steps = {}: the run ends inside its warm-up",
                    train.warmup_steps, train.steps));
  }
  if (train.selection == Selection::kBestValidation && (train.eval_every == 0 || train.eval_every >= train.steps)) {
    texts.push_back(
        fmt::format("train.eval_every = {} leaves train.selection = best_validation one checkpoint to choose from",
                    train.eval_every));
  }
  return texts;
}

nlohmann::ordered_json to_json(const TrainConfig& config) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  for (const ConfigField& field : config_fields()) {
    const size_t dot = field.key.find('.');
    auto& place =
        dot == std::string::npos ? json[field.key] : json[field.key.substr(0, dot)][field.key.substr(dot + 1)];
    place = nlohmann::ordered_json(field.get(config));
  }
  for (const auto& [name, value] : config.attention.parameters) json["attention"][name] = nlohmann::ordered_json(value);
  return json;
}

std::string canonical_json(const TrainConfig& config, const std::function<bool(const ConfigField&)>& chosen) {
  Json json = Json::object();
  for (const ConfigField& field : config_fields()) {
    if (!chosen(field)) continue;
    Json value = field.get(config);
    if (std::find(field.unsaid.begin(), field.unsaid.end(), value) == field.unsaid.end())
      json[field.key] = std::move(value);
  }
  for (const auto& [name, value] : config.attention.parameters) json[std::string(kAttentionPrefix) + name] = value;
  return json.dump();
}

std::string config_hash(const TrainConfig& config, std::string_view dataset_sha256) {
  Json whole = Json::parse(canonical_json(config, [](const ConfigField& field) { return field.hashed; }));
  whole["dataset_sha256"] = dataset_sha256;
  return io::sha256_hex(whole.dump()).substr(0, 12);
}

std::string config_help() {
  const TrainConfig defaults;
  std::string text;
  for (const ConfigField& field : config_fields()) {
    const Json value = field.get(defaults);
    text += fmt::format("{} = {}  ({})\n    {}\n", field.key,
                        value.is_string() ? value.get<std::string>() : value.dump(), range_text(field), field.help);
  }
  return text + "attention.<parameter>\n    a parameter of the mechanism; `lra list attention` has them\n";
}

}  // namespace lra::harness
