#include "reports/record.h"

#include <fmt/format.h>

#include <cmath>
#include <span>
#include <utility>

#include "engine/embedded.h"
#include "reports/record_fields.h"

namespace lra::embedded {
std::span<const File> schemas();
}

namespace lra::reports {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::pair<RunKind, std::string_view> kKinds[] = {{RunKind::kTrain, "train"}, {RunKind::kBench, "bench"}};

constexpr std::pair<RunStatus, std::string_view> kStatuses[] = {
    {RunStatus::kConverged, "converged"}, {RunStatus::kAtChance, "at_chance"},
    {RunStatus::kDiverged, "diverged"},   {RunStatus::kInterrupted, "interrupted"},
    {RunStatus::kMeasured, "measured"},   {RunStatus::kDoesNotFit, "does_not_fit"}};

template <class Enum, size_t N>
std::string_view name_of(const std::pair<Enum, std::string_view> (&names)[N], Enum value) {
  for (const auto& [known, name] : names) {
    if (known == value) return name;
  }
  throw std::logic_error("[result record] an enum holds a value that has no name");
}

template <class Enum, size_t N>
Enum value_of(const std::pair<Enum, std::string_view> (&names)[N], std::string_view text, std::string_view what) {
  std::string known_names;
  for (const auto& [known, name] : names) {
    if (name == text) return known;
    known_names += fmt::format("{}{}", known_names.empty() ? "" : ", ", name);
  }
  throw RecordError(fmt::format("[{}] `{}` is not one of: {}", what, text, known_names));
}

// ---- writing

struct Writer;

template <class T>
concept Block = requires(Writer& archive, const T& block) {
  list_fields(archive, block);
};

template <class T>
Json encode(const T& value);

struct Writer {
  Json json = Json::object();
  template <class T>
  void operator()(const char* key, const T& value) {
    json[key] = encode(value);
  }
};

Json encode_number(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

template <class T>
constexpr bool kIsOptional = false;
template <class T>
constexpr bool kIsOptional<std::optional<T>> = true;

template <class T>
Json encode(const T& value) {
  if constexpr (std::is_same_v<T, double>) {
    return encode_number(value);
  } else if constexpr (std::is_same_v<T, RunKind> || std::is_same_v<T, RunStatus>) {
    return std::string(to_string(value));
  } else if constexpr (kIsOptional<T>) {
    return value ? encode(*value) : Json(nullptr);
  } else if constexpr (std::is_same_v<T, std::vector<double>> || std::is_same_v<T, std::array<double, 2>>) {
    Json array = Json::array();
    for (const double number : value) array.push_back(encode_number(number));
    return array;
  } else if constexpr (std::is_same_v<T, std::map<std::string, double>>) {
    Json object = Json::object();
    for (const auto& [name, number] : value) object[name] = encode_number(number);
    return object;
  } else if constexpr (std::is_same_v<T, std::vector<ProfileRow>>) {
    Json array = Json::array();
    for (const ProfileRow& row : value) array.push_back(encode(row));
    return array;
  } else if constexpr (Block<T>) {
    Writer writer;
    list_fields(writer, value);
    return std::move(writer.json);
  } else {
    return Json(value);
  }
}

// ---- reading

template <class T>
void decode(const Json& json, const std::string& path, T& value);

struct Reader {
  const Json& json;
  std::string path;
  template <class T>
  void operator()(const char* key, T& value) {
    const auto found = json.find(key);
    if (found == json.end()) return;
    decode(*found, path.empty() ? key : path + "." + key, value);
  }
};

[[noreturn]] void refuse(const std::string& path, std::string_view wanted, const Json& json) {
  std::string shown = json.dump();
  if (shown.size() > 60) shown = shown.substr(0, 57) + "...";
  throw RecordError(fmt::format("[{}] is {}, not {}", path.empty() ? "record" : path, shown, wanted));
}

/// A number that was not finite when it was written reads as NaN.
double decode_number(const Json& json, const std::string& path) {
  if (json.is_null()) return std::nan("");
  if (!json.is_number()) refuse(path, "a number", json);
  return json.get<double>();
}

template <class T>
void decode_integer(const Json& json, const std::string& path, T& value) {
  if (!json.is_number_integer()) refuse(path, "an integer", json);
  if (json.is_number_unsigned()) {
    const auto number = json.get<std::uint64_t>();
    if (!std::in_range<T>(number)) refuse(path, "an integer in range", json);
    value = static_cast<T>(number);
  } else {
    const auto number = json.get<std::int64_t>();
    if (!std::in_range<T>(number)) refuse(path, "an integer in range", json);
    value = static_cast<T>(number);
  }
}

void decode_array(const Json& json, const std::string& path, std::vector<double>& values) {
  if (!json.is_array()) refuse(path, "an array of numbers", json);
  values.clear();
  for (const Json& element : json) values.push_back(decode_number(element, path));
}

void decode_object(const Json& json, const std::string& path, std::map<std::string, double>& values) {
  if (!json.is_object()) refuse(path, "an object of numbers", json);
  values.clear();
  for (const auto& [name, number] : json.items()) values[name] = decode_number(number, path + "." + name);
}

template <class T>
void decode(const Json& json, const std::string& path, T& value) {
  if constexpr (kIsOptional<T>) {
    if (json.is_null()) {
      value.reset();
    } else {
      decode(json, path, value.emplace());
    }
  } else if constexpr (std::is_same_v<T, bool>) {
    if (!json.is_boolean()) refuse(path, "true or false", json);
    value = json.get<bool>();
  } else if constexpr (std::is_integral_v<T>) {
    decode_integer(json, path, value);
  } else if constexpr (std::is_same_v<T, double>) {
    value = decode_number(json, path);
  } else if constexpr (std::is_same_v<T, RunKind> || std::is_same_v<T, RunStatus> || std::is_same_v<T, std::string>) {
    if (!json.is_string()) refuse(path, "a string", json);
    const auto& text = json.get_ref<const std::string&>();
    if constexpr (std::is_same_v<T, RunKind>) {
      value = run_kind_from_string(text);
    } else if constexpr (std::is_same_v<T, RunStatus>) {
      value = run_status_from_string(text);
    } else {
      value = text;
    }
  } else if constexpr (std::is_same_v<T, std::vector<std::string>> || std::is_same_v<T, std::vector<ProfileRow>>) {
    if (!json.is_array())
      refuse(path, std::is_same_v<T, std::vector<std::string>> ? "an array of strings" : "an array", json);
    value.clear();
    for (const Json& element : json) decode(element, path, value.emplace_back());
  } else if constexpr (std::is_same_v<T, std::vector<double>>) {
    decode_array(json, path, value);
  } else if constexpr (std::is_same_v<T, std::array<double, 2>>) {
    if (!json.is_array() || json.size() != 2) refuse(path, "an array of two numbers", json);
    for (size_t i = 0; i < 2; ++i) value[i] = decode_number(json[i], path);
  } else if constexpr (std::is_same_v<T, std::map<std::string, double>>) {
    decode_object(json, path, value);
  } else if constexpr (std::is_same_v<T, Json>) {
    if (!json.is_object()) refuse(path, "an object", json);
    value = json;
  } else {
    if (!json.is_object()) refuse(path, "an object", json);
    Reader reader{json, path};
    list_fields(reader, value);
  }
}

}  // namespace

std::string_view to_string(RunKind kind) { return name_of(kKinds, kind); }
std::string_view to_string(RunStatus status) { return name_of(kStatuses, status); }

RunKind run_kind_from_string(std::string_view text) { return value_of(kKinds, text, "kind"); }
RunStatus run_status_from_string(std::string_view text) { return value_of(kStatuses, text, "status"); }

nlohmann::ordered_json to_json(const ResultRecord& record) { return encode(record); }

ResultRecord record_from_json(const nlohmann::ordered_json& json) {
  ResultRecord record;
  decode(json, "", record);
  if (record.schema_version < 1 || record.schema_version > kSchemaVersion) {
    throw RecordError(
        fmt::format("[schema_version] {} is not one this program reads (1 to {}); use the `lra` that wrote it",
                    record.schema_version, kSchemaVersion));
  }
  return record;
}

std::string_view result_schema() {
  for (const embedded::File& file : embedded::schemas()) {
    if (file.path.ends_with("result.schema.json")) return file.text;
  }
  throw std::logic_error("[result_schema] the program was built without reports/schema/result.schema.json");
}

}  // namespace lra::reports
