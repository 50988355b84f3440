#include "tasks/dataset_writer.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <cerrno>
#include <cstdio>

#include "engine/errors.h"
#include "engine/io/file.h"
#include "engine/io/sha256.h"
#include "tasks/location.h"

namespace lra::tasks {
namespace fs = std::filesystem;

namespace {

void rename_or_throw(const fs::path& from, const fs::path& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) io::throw_system_error("rename a directory to", to, errno);
}

void remove_tree(const fs::path& path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (error) io::throw_system_error("remove", path, error.value());
}

}  // namespace

void refuse_existing_dataset(const fs::path& data_dir, const std::string& task, bool force) {
  std::error_code error;
  const fs::path target = data_dir / task;
  const fs::file_status status = fs::status(target, error);
  if (!fs::exists(status) || (fs::is_directory(status) && fs::is_empty(target, error))) return;
  if (!fs::exists(target / kManifestFile, error)) {  // --force replaces datasets, it does not delete other things
    throw UsageError(fmt::format("`{}` exists and is not a prepared dataset", target.string()),
                     "choose another --data directory, or move what is there away");
  }
  if (!force) {
    throw UsageError(fmt::format("`{}` already holds a dataset", target.string()),
                     fmt::format("add --force to replace it; see what it is: lra data info {} --data {}", task,
                                 shell_quoted(data_dir)));
  }
}

std::shared_ptr<io::DirectoryLock> dataset_lock(const fs::path& data_dir, const std::string& task) {
  return std::make_shared<io::DirectoryLock>(data_dir, fmt::format("the dataset `{}`", task),
                                             fmt::format(".{}.lock", task));
}

DatasetWriter::DatasetWriter(const fs::path& data_dir, Manifest manifest, bool force,
                             std::shared_ptr<io::DirectoryLock> lock)
    : data_dir_(data_dir),
      manifest_(std::move(manifest)),
      target_(data_dir / manifest_.task),
      previous_(data_dir / fmt::format(".{}.previous", manifest_.task)),
      lock_(std::move(lock)),
      draft_{.path = data_dir / fmt::format(".{}.tmp", manifest_.task)} {
  refuse_existing_dataset(data_dir_, manifest_.task, force);
  io::create_directories(data_dir_);
  if (!lock_) lock_ = dataset_lock(data_dir_, manifest_.task);
  refuse_or_prepare(force);
  const io::NpyType token_type = manifest_.token_type == TokenType::kUint8 ? io::NpyType::kUint8 : io::NpyType::kUint16;
  for (const SplitName name : kSplitNames) {
    splits_.push_back({io::NpyStreamWriter(draft_.path / array_file(name, "tokens"), token_type),
                       io::NpyStreamWriter(draft_.path / array_file(name, "offsets"), io::NpyType::kUint64),
                       io::NpyStreamWriter(draft_.path / array_file(name, "labels"), io::NpyType::kUint8)});
    constexpr uint64_t kFirstOffset = 0;
    splits_.back().offsets.append(std::span(&kFirstOffset, 1));
  }
  manifest_.examples = {};
  manifest_.tokens = {};
}

/// Under the lock: mends what a killed writer left, then looks again, since another may have finished meanwhile.
void DatasetWriter::refuse_or_prepare(bool force) {
  std::error_code error;
  if (fs::exists(previous_, error)) {
    if (fs::exists(target_, error)) {
      remove_tree(previous_);
    } else {
      rename_or_throw(previous_, target_);
    }
  }
  remove_tree(draft_.path);
  refuse_existing_dataset(data_dir_, manifest_.task, force);
  io::create_directories(draft_.path);
  draft_.is_ours = true;
}

DatasetWriter::Draft::~Draft() {
  std::error_code error;
  if (is_ours) fs::remove_all(path, error);
}

DatasetWriter::~DatasetWriter() = default;

template <class T>
void DatasetWriter::add(SplitName split, std::span<const T> tokens) {
  SplitWriters& writers = splits_[static_cast<size_t>(split)];
  writers.tokens.append(tokens);
  manifest_.tokens[split] += static_cast<int64_t>(tokens.size());
  const auto offset = static_cast<uint64_t>(manifest_.tokens[split]);
  writers.offsets.append(std::span(&offset, 1));
  ++writers.sequences;
}

void DatasetWriter::add_sequence(SplitName split, std::span<const uint8_t> tokens) { add(split, tokens); }

void DatasetWriter::add_sequence(SplitName split, std::span<const uint16_t> tokens) { add(split, tokens); }

void DatasetWriter::add_label(SplitName split, int label) {
  SplitWriters& writers = splits_[static_cast<size_t>(split)];
  const auto expected = static_cast<uint64_t>(++manifest_.examples[split]) * manifest_.inputs_per_example;
  LRA_CHECK(writers.sequences == expected, fmt::format("{} sequences before label {} of {}", writers.sequences,
                                                       manifest_.examples[split], split_text(split)));
  LRA_CHECK(label >= 0 && label < manifest_.num_classes, fmt::format("label {}", label));
  const auto stored = static_cast<uint8_t>(label);
  writers.labels.append(std::span(&stored, 1));
}

fs::path DatasetWriter::finish() {
  for (SplitWriters& writers : splits_) {
    writers.tokens.finish();
    writers.offsets.finish();
    writers.labels.finish();
  }
  splits_.clear();
  for (const SplitName name : kSplitNames) {
    for (const char* what : {"tokens", "offsets", "labels"}) {
      const std::string file = array_file(name, what);
      manifest_.arrays[file] = {io::sha256_file(draft_.path / file), fs::file_size(draft_.path / file)};
    }
  }
  manifest_.dataset_sha256 = dataset_hash(manifest_.arrays);
  io::write_file_atomically(draft_.path / kManifestFile, manifest_text(manifest_));
  publish();
  return target_;
}

void DatasetWriter::publish() {
  std::error_code error;
  if (!fs::exists(target_, error) || fs::is_empty(target_, error)) {
    rename_or_throw(draft_.path, target_);
    draft_.is_ours = false;
    io::sync_directory(data_dir_);
    return;
  }
  if (::renameat2(AT_FDCWD, draft_.path.c_str(), AT_FDCWD, target_.c_str(), RENAME_EXCHANGE) == 0) {
    draft_.is_ours = false;
    io::sync_directory(data_dir_);
    remove_tree(draft_.path);  // now the earlier dataset
    return;
  }
  // The file system cannot exchange two names. Killed between the two renames, the next writer puts `previous_` back.
  rename_or_throw(target_, previous_);
  rename_or_throw(draft_.path, target_);
  draft_.is_ours = false;
  io::sync_directory(data_dir_);
  remove_tree(previous_);
}

}  // namespace lra::tasks
