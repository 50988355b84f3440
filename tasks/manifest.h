// The manifest of a prepared dataset, `dataset.json`: where it comes from, its sizes, and a hash of each array.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "tasks/split.h"

namespace lra::tasks {

inline constexpr int kDatasetSchemaVersion = 1;
inline constexpr const char* kManifestFile = "dataset.json";
inline constexpr int64_t kMaxNominalLength = int64_t{1} << 24;  // tokens

using ParameterValue = std::variant<int64_t, double, std::string>;

struct DatasetSource {
  std::string kind;                                // "generate" or "import"
  std::map<std::string, int64_t> counts;           // of a generator: what it drew and rejected
  std::map<std::string, std::string> file_sha256;  // of an import: file name -> hash
};

struct ArrayFile {
  std::string sha256;
  uint64_t bytes = 0;
};

/// All of `dataset.json`. It holds no dates, paths or program versions: equal data have an equal manifest.
struct Manifest {
  std::string task;
  DatasetSource source;
  std::map<std::string, ParameterValue> parameters;
  std::optional<uint64_t> seed;
  std::vector<std::string> vocabulary;  // id -> symbol
  int num_classes = 0;
  std::vector<std::string> class_names;  // label -> name, where the data name them; else empty
  int64_t nominal_length = 0;            // tokens; no sequence of a task that must not be cut is longer
  int inputs_per_example = 1;
  TokenType token_type = TokenType::kUint8;

  // Filled in by DatasetWriter.
  SplitSizes examples;
  SplitSizes tokens;
  std::map<std::string, ArrayFile> arrays;  // file name -> hash and size
  std::string dataset_sha256;
};

/// "train.tokens.npy"; `what` is "tokens", "offsets" or "labels".
std::string array_file(SplitName split, const std::string& what);

/// The hash that names the whole dataset: that of the lines "<sha256>  <file>\n", sorted by file. In a shell:
/// `LC_ALL=C; sha256sum *.npy | sha256sum`.
std::string dataset_hash(const std::map<std::string, ArrayFile>& arrays);

/// Its parameters by name, as numbers and texts.
nlohmann::ordered_json parameters_json(const Manifest& manifest);

/// The text of dataset.json, with a line feed at the end.
std::string manifest_text(const Manifest& manifest);

/// Parses dataset.json at `path`. Throws: DataError naming the file and what is missing or malformed in it.
Manifest read_manifest(const std::filesystem::path& path);

}  // namespace lra::tasks
