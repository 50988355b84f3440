#include "tasks/manifest.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "engine/errors.h"
#include "engine/io/file.h"
#include "engine/io/json.h"
#include "engine/io/sha256.h"

namespace lra::tasks {
namespace {

using nlohmann::ordered_json;

ordered_json splits_json(const Manifest& manifest) {
  ordered_json splits;
  for (const SplitName name : kSplitNames) {
    splits[std::string(split_text(name))] = {{"examples", manifest.examples[name]}, {"tokens", manifest.tokens[name]}};
  }
  return splits;
}

ordered_json source_json(const DatasetSource& source) {
  ordered_json json{{"kind", source.kind}};
  for (const auto& [name, count] : source.counts) json[name] = count;
  if (!source.file_sha256.empty()) json["files"] = source.file_sha256;
  return json;
}

DatasetSource parse_source(const ordered_json& json) {
  DatasetSource source;
  source.kind = json.at("kind").get<std::string>();
  for (const auto& [name, value] : json.items()) {
    if (value.is_number_integer()) source.counts[name] = io::integer_of<int64_t>(value, name);
  }
  if (json.contains("files")) source.file_sha256 = json["files"].get<std::map<std::string, std::string>>();
  return source;
}

ParameterValue parse_parameter(const std::string& name, const ordered_json& json) {
  if (json.is_number_integer()) return io::integer_of<int64_t>(json, name);
  if (json.is_number()) return json.get<double>();
  return json.get<std::string>();
}

TokenType parse_token_type(const std::string& name) {
  if (name == "uint8") return TokenType::kUint8;
  if (name == "uint16") return TokenType::kUint16;
  io::refuse_json<ordered_json>(fmt::format("token_type `{}` is neither uint8 nor uint16", name));
}

Manifest parse(const ordered_json& json) {
  Manifest manifest;
  manifest.task = json.at("task").get<std::string>();
  manifest.source = parse_source(json.at("source"));
  for (const auto& [name, value] : json.at("parameters").items()) {
    manifest.parameters[name] = parse_parameter(name, value);
  }
  if (!json.at("seed").is_null()) manifest.seed = io::integer_at<uint64_t>(json, "seed");
  manifest.vocabulary = json.at("vocabulary").get<std::vector<std::string>>();
  manifest.num_classes = io::integer_at<int>(json, "num_classes");
  if (json.contains("class_names")) manifest.class_names = json["class_names"].get<std::vector<std::string>>();
  manifest.nominal_length = io::integer_at<int64_t>(json, "nominal_length");
  manifest.inputs_per_example = io::integer_at<int>(json, "inputs_per_example");
  manifest.token_type = parse_token_type(json.at("token_type").get<std::string>());
  for (const SplitName name : kSplitNames) {
    const ordered_json& split = json.at("splits").at(std::string(split_text(name)));
    manifest.examples[name] = io::integer_at<int64_t>(split, "examples");
    manifest.tokens[name] = io::integer_at<int64_t>(split, "tokens");
  }
  for (const auto& [name, file] : json.at("arrays").items()) {
    manifest.arrays[name] = {file.at("sha256").get<std::string>(), io::integer_at<uint64_t>(file, "bytes")};
  }
  manifest.dataset_sha256 = json.at("dataset_sha256").get<std::string>();
  return manifest;
}

/// What nlohmann's types cannot check. Returns the name of the offending key, or nothing.
std::optional<std::string> out_of_range(const Manifest& manifest) {
  constexpr int kMaxClasses = 256;  // labels are one byte
  constexpr size_t kMaxVocabulary = 65536;
  if (manifest.num_classes < 1 || manifest.num_classes > kMaxClasses) return "num_classes";
  if (!manifest.class_names.empty() && manifest.class_names.size() != static_cast<size_t>(manifest.num_classes)) {
    return "class_names";
  }
  if (manifest.vocabulary.empty() || manifest.vocabulary.size() > kMaxVocabulary) return "vocabulary";
  if (manifest.nominal_length < 1 || manifest.nominal_length > kMaxNominalLength) return "nominal_length";
  if (manifest.inputs_per_example < 1 || manifest.inputs_per_example > 2) return "inputs_per_example";
  constexpr size_t kArrays = 9;  // three for each split
  if (manifest.arrays.size() != kArrays) return "arrays";
  for (const SplitName name : kSplitNames) {
    if (manifest.examples[name] < 0 || manifest.tokens[name] < 0) return "splits";
    for (const char* what : {"tokens", "offsets", "labels"}) {
      if (!manifest.arrays.contains(array_file(name, what))) return "arrays";
    }
  }
  return std::nullopt;
}

}  // namespace

std::string array_file(SplitName split, const std::string& what) {
  return fmt::format("{}.{}.npy", split_text(split), what);
}

std::string dataset_hash(const std::map<std::string, ArrayFile>& arrays) {
  io::Sha256 hash;
  for (const auto& [name, file] : arrays) hash.update(fmt::format("{}  {}\n", file.sha256, name));
  return hash.hex_digest();
}

ordered_json parameters_json(const Manifest& manifest) {
  ordered_json parameters = ordered_json::object();
  for (const auto& [name, value] : manifest.parameters) {
    std::visit([&, &key = name](const auto& plain) { parameters[key] = plain; }, value);
  }
  return parameters;
}

std::string manifest_text(const Manifest& manifest) {
  ordered_json arrays;
  for (const auto& [name, file] : manifest.arrays) arrays[name] = {{"sha256", file.sha256}, {"bytes", file.bytes}};
  ordered_json json{
      {"schema_version", kDatasetSchemaVersion},
      {"task", manifest.task},
      {"dataset_sha256", manifest.dataset_sha256},
      {"source", source_json(manifest.source)},
      {"parameters", parameters_json(manifest)},
      {"seed", manifest.seed ? ordered_json(*manifest.seed) : ordered_json(nullptr)},
      {"num_classes", manifest.num_classes},
      {"nominal_length", manifest.nominal_length},
      {"inputs_per_example", manifest.inputs_per_example},
      {"token_type", manifest.token_type == TokenType::kUint16 ? "uint16" : "uint8"},
      {"splits", splits_json(manifest)},
      {"vocabulary", manifest.vocabulary},
      {"arrays", arrays},
  };
  if (!manifest.class_names.empty()) json["class_names"] = manifest.class_names;
  return json.dump(2) + "\n";
}

Manifest read_manifest(const std::filesystem::path& path) {
  const std::string text = io::read_text_file(path);
  const std::string hint = "the file was altered or damaged; generate or import the dataset again with --force";
  Manifest manifest;
  try {
    const auto json = io::parse_json<ordered_json>(text);
    if (const int version = io::integer_at<int>(json, "schema_version"); version != kDatasetSchemaVersion) {
      throw DataError(fmt::format("`{}` has schema_version {}; this program reads {}", path.string(), version,
                                  kDatasetSchemaVersion),
                      "generate or import the dataset again with --force, or use the program that wrote it");
    }
    manifest = parse(json);
  } catch (const nlohmann::json::exception& error) {
    throw DataError(fmt::format("`{}` is not the manifest of a dataset: {}", path.string(), error.what()), hint);
  }
  if (const std::optional<std::string> key = out_of_range(manifest)) {
    throw DataError(fmt::format("`{}`: the value of `{}` is missing or out of range", path.string(), *key), hint);
  }
  return manifest;
}

}  // namespace lra::tasks
