#include "tasks/dataset.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/errors.h"
#include "engine/io/sha256.h"
#include "tasks/location.h"
#include "tasks/registry.h"

namespace lra::tasks {
namespace fs = std::filesystem;

namespace {

/// The command that makes the dataset of `task` in `data_dir`; `kind` is "import" for one that was imported.
std::string make_command(const fs::path& data_dir, const std::string& task, std::string_view kind = "") {
  const Task* known = find_task(task);
  const bool imports = kind == "import" || (known != nullptr && !known->facts().supports_generate);
  return imports ? fmt::format("lra data import {} --from PATH --data {}", task, shell_quoted(data_dir))
                 : fmt::format("lra data generate {} --data {}", task, shell_quoted(data_dir));
}

}  // namespace

Dataset Dataset::open(const fs::path& data_dir, const std::string& name) {
  const Task* known = find_task(name);
  const std::string& task = known == nullptr ? name : known->facts().name;
  Dataset dataset;
  dataset.directory_ = data_dir / task;
  const fs::path manifest_path = dataset.directory_ / kManifestFile;
  std::error_code error;
  if (!fs::exists(manifest_path, error)) {
    throw DataError(
        fmt::format("there is no prepared dataset of `{}`: `{}` does not exist", task, manifest_path.string()),
        make_command(data_dir, task));
  }
  dataset.manifest_ = read_manifest(manifest_path);
  if (dataset.manifest_.task != task) {
    dataset.fail(kManifestFile, fmt::format("it describes the task `{}`, not `{}`", dataset.manifest_.task, task));
  }
  for (const SplitName split : kSplitNames) dataset.open_split(split);
  return dataset;
}

void Dataset::fail(const std::string& file, const std::string& what) const {
  const fs::path data_dir = directory_.parent_path();
  const std::string task = directory_.filename().string();
  throw DataError(fmt::format("`{}`: {}", (directory_ / file).string(), what),
                  fmt::format("look at it with `lra data verify {} --data {}`, make it again with `{} --force`", task,
                              shell_quoted(data_dir), make_command(data_dir, task, manifest_.source.kind)));
}

io::NpyArray Dataset::open_array(SplitName name, const std::string& what, io::NpyType type, uint64_t elements) const {
  const std::string file = array_file(name, what);
  io::NpyArray array;
  try {
    array = io::NpyArray(directory_ / file);
    array.require_type(type);
    array.require_dimensions(1);
  } catch (const DataError& error) {
    fail(file, error.what());
  }
  if (static_cast<uint64_t>(array.elements()) != elements) {
    fail(file, fmt::format("it has {} elements, {} says {}", array.elements(), kManifestFile, elements));
  }
  return array;
}

void Dataset::open_split(SplitName name) {
  const auto at = static_cast<size_t>(name);
  const auto examples = static_cast<uint64_t>(manifest_.examples[name]);
  const auto tokens = static_cast<uint64_t>(manifest_.tokens[name]);
  const bool is_wide = manifest_.token_type == TokenType::kUint16;
  uint64_t sequences = 0;
  if (__builtin_mul_overflow(examples, static_cast<uint64_t>(manifest_.inputs_per_example), &sequences)) {
    fail(kManifestFile, fmt::format("{} examples are impossible", examples));
  }
  arrays_[at].tokens = open_array(name, "tokens", is_wide ? io::NpyType::kUint16 : io::NpyType::kUint8, tokens);
  arrays_[at].offsets = open_array(name, "offsets", io::NpyType::kUint64, sequences + 1);
  arrays_[at].labels = open_array(name, "labels", io::NpyType::kUint8, examples);

  Split& split = splits_[at];
  split.name_ = name;
  split.inputs_per_example_ = manifest_.inputs_per_example;
  split.token_type_ = manifest_.token_type;
  split.offsets_ = arrays_[at].offsets.as<uint64_t>();
  split.labels_ = arrays_[at].labels.as<uint8_t>();
  if (is_wide) {
    split.tokens16_ = arrays_[at].tokens.as<uint16_t>();
  } else {
    split.tokens8_ = arrays_[at].tokens.as<uint8_t>();
  }
  check_offsets(name);
  check_labels(name);
}

void Dataset::check_offsets(SplitName name) const {
  const std::string file = array_file(name, "offsets");
  const std::span<const uint64_t> offsets = split(name).offsets_;
  if (offsets.front() != 0) fail(file, fmt::format("the first offset is {}, not 0", offsets.front()));
  const auto fall = std::adjacent_find(offsets.begin(), offsets.end(), std::greater<>());
  if (fall != offsets.end()) fail(file, fmt::format("the offsets fall after element {}", fall - offsets.begin()));
  const auto tokens = static_cast<uint64_t>(manifest_.tokens[name]);
  if (offsets.back() != tokens) {
    fail(file, fmt::format("the last offset is {}, but there are {} tokens", offsets.back(), tokens));
  }
}

void Dataset::check_labels(SplitName name) const {
  const std::span<const uint8_t> labels = split(name).labels_;
  const auto bad = std::find_if(labels.begin(), labels.end(), [&](uint8_t label) { return label >= num_classes(); });
  if (bad != labels.end()) {
    fail(array_file(name, "labels"),
         fmt::format("label {} of example {} is not below {}", *bad, bad - labels.begin(), num_classes()));
  }
}

void Dataset::check_tokens(SplitName name) const {
  const auto check = [&](auto tokens) {
    const auto bad = std::find_if(tokens.begin(), tokens.end(), [&](auto token) { return token >= vocab_size(); });
    if (bad != tokens.end()) {
      fail(array_file(name, "tokens"), fmt::format("the token {} at position {} is not in the vocabulary of {}", *bad,
                                                   bad - tokens.begin(), vocab_size()));
    }
  };
  if (manifest_.token_type == TokenType::kUint8) {
    check(split(name).tokens8_);
  } else {
    check(split(name).tokens16_);
  }
}

uint64_t Dataset::disk_bytes() const {
  std::error_code error;
  uint64_t bytes = fs::file_size(directory_ / kManifestFile, error);
  for (const auto& [name, file] : manifest_.arrays) bytes += file.bytes;
  return bytes;
}

void Dataset::verify(const ProgressFn& progress) const {
  uint64_t total_bytes = 0;
  uint64_t done_bytes = 0;
  for (const auto& [name, file] : manifest_.arrays) total_bytes += file.bytes;
  for (const auto& [name, file] : manifest_.arrays) {
    const std::string found = io::sha256_file(directory_ / name, [&](uint64_t bytes, uint64_t) {
      if (progress) progress(std::min(done_bytes + bytes, total_bytes), total_bytes);
    });
    done_bytes += file.bytes;
    if (found != file.sha256) {
      fail(name, fmt::format("its SHA-256 is {}, {} says {}: the file was altered or damaged", found, kManifestFile,
                             file.sha256));
    }
  }
  if (dataset_hash(manifest_.arrays) != manifest_.dataset_sha256) {
    fail(kManifestFile, "dataset_sha256 does not follow from the hashes of the arrays");
  }
  for (const SplitName name : kSplitNames) check_tokens(name);
}

}  // namespace lra::tasks
