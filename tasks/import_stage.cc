#include "tasks/import_stage.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "engine/errors.h"
#include "tasks/location.h"

namespace lra::tasks {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr const char* kCheckpointFile = "checkpoint";
constexpr const char* kFoundFile = "found";  // names, while an archive is searched …
constexpr const char* kTreeFile = "tree";    // … and afterwards: the earlier file stays what a checkpoint counts on
constexpr uint64_t kMaxCheckpointBytes = uint64_t{64} << 20;

/// Saving takes no more than a twentieth of the time, however slow the disk is.
constexpr int kSavingShare = 20;

fs::path stage_directory(const fs::path& data_dir, const std::string& task) {
  return data_dir / fmt::format(".{}.import", task);
}

/// What an import that goes on must have in common with the one that was stopped. Another build of the program may
/// keep other things of what it reads.
std::string identity_of(const std::string& task, const ImportOptions& options, const Source& source) {
  std::string identity = fmt::format("{}\n{}\n", task, file_stamp("/proc/self/exe"));
  for (const auto& [key, value] : options.parameters) identity += fmt::format("{}={}\n", key, value);
  return io::sha256_hex(identity + source.fingerprint());
}

SourceSearch without_names(const SourceSearch& search) {
  return {.found = {},
          .names_bytes = 0,
          .links = search.links,
          .unusable = search.unusable,
          .unsafe = search.unsafe,
          .position = search.position,
          .is_complete = search.is_complete};
}

}  // namespace

StagedFile::StagedFile(ImportStage& stage, size_t index, SourceFile& source, const FilePieces& begin, bool is_hashed)
    : stage_(stage),
      source_(source),
      index_(index),
      path_(stage.tree_.files[index]),
      shown_(stage.shown(index)),
      begin_(begin) {
  if (is_hashed) hash_ = begin.sha256_state.empty() ? io::Sha256() : io::Sha256::from_state(begin.sha256_state);
}

size_t StagedFile::read(std::span<std::byte> buffer) {
  entry_bytes_ = read_bytes_;
  entry_hash_ = hash_;
  const size_t count = source_.read(buffer);
  if (hash_) hash_->update(buffer.first(count));
  read_bytes_ += count;
  return count;
}

/// Reads up to where the stream begins for the visitor.
void StagedFile::skip(uint64_t from_bytes) {
  std::vector<std::byte> passed(size_t{64} << 10);
  read_bytes_ = from_bytes;
  while (read_bytes_ < begin_.bytes) {
    const uint64_t left_bytes = begin_.bytes - read_bytes_;
    if (read(std::span(passed).first(static_cast<size_t>(std::min<uint64_t>(left_bytes, passed.size())))) == 0) {
      throw DataError(fmt::format("`{}` changed while it was read", shown_), "start the import again");
    }
  }
}

void StagedFile::add(SplitName split, uint64_t key, std::span<const uint8_t> bytes, int label) {
  stage_.spool().add(split, key, bytes, label);
}

void StagedFile::add(SplitName split, uint64_t key, std::string_view text, int label) {
  add(split, key, std::span(reinterpret_cast<const uint8_t*>(text.data()), text.size()), label);
}

void StagedFile::reached(uint64_t bytes, uint64_t pieces) {
  const uint64_t end_bytes = begin_.bytes + bytes;
  if (!stage_.is_due() || end_bytes < entry_bytes_) return;
  stage_.checkpoint_.position = source_.position(entry_bytes_);
  stage_.checkpoint_.pieces = {.bytes = end_bytes, .pieces = pieces, .sha256_state = {}};
  if (entry_hash_) stage_.checkpoint_.pieces.sha256_state = entry_hash_->state();
  stage_.save();
}

void StagedFile::finish() {
  if (hash_) stage_.checkpoint_.file_sha256[path_] = hash_->hex_digest();
  if (!stage_.is_due()) return;
  stage_.checkpoint_.position = source_.position(read_bytes_);
  stage_.checkpoint_.position->is_done = true;
  stage_.checkpoint_.pieces = {};
  stage_.save();
}

ImportStage::ImportStage(const fs::path& data_dir, std::string task, const ImportOptions& options, ProgressFn progress)
    : data_dir_(data_dir),
      task_(std::move(task)),
      directory_(stage_directory(data_dir_, task_)),
      options_(options),
      source_(options.from, options.note, std::move(progress)) {}

DatasetWriter ImportStage::writer(Manifest manifest) const {
  return {data_dir_, std::move(manifest), options_.force, lock_};
}

void ImportStage::for_each(const std::function<void(const Spool::Example& example)>& example) {
  constexpr uint64_t kExamplesBetweenReports = 256;
  const uint64_t total = spool_->size();
  uint64_t done = 0;
  spool_->for_each([&](const Spool::Example& each) {
    if (options_.writing && done % kExamplesBetweenReports == 0) options_.writing(done, total);
    example(each);
    ++done;
  });
  if (options_.writing) options_.writing(total, total);
}

void ImportStage::write_to(DatasetWriter& writer) {
  for_each([&](const Spool::Example& example) {
    writer.add_sequence(example.split, example.bytes);
    writer.add_label(example.split, example.label);
  });
}

bool ImportStage::is_due() const { return Clock::now() >= next_save_; }

void ImportStage::wait(Clock::duration saving) {
  const auto interval =
      std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(options_.checkpoint_interval_s));
  next_save_ = Clock::now() + (interval.count() == 0 ? interval : std::max(interval, kSavingShare * saving));
}

void ImportStage::save() {
  const auto start = Clock::now();
  if (checkpoint_.tree.empty() && !tree_.files.empty()) checkpoint_.tree = source_.fingerprint(tree_);
  if (checkpoint_.search.is_complete && !is_tree_in_names_) {
    checkpoint_.names_bytes = kept_names_ = 0;
    names_hash_ = io::Sha256();
    append_names(kTreeFile, tree_.files, tree_.root);
    is_tree_in_names_ = true;
  }
  checkpoint_.spool = spool_->sync();
  io::write_file_atomically(directory_ / kCheckpointFile, checkpoint_text(checkpoint_));
  wait(Clock::now() - start);
}

/// The lock, and what an earlier import has left or nothing. False when that is of no use for this one.
bool ImportStage::open(const std::string& identity) {
  io::create_directories(data_dir_);
  lock_ = dataset_lock(data_dir_, task_);
  const bool was_stopped = is_kept();
  if (was_stopped && !load(identity)) return false;
  if (!was_stopped) begin_again(identity);
  is_ours_ = true;
  return true;
}

void ImportStage::begin_again(const std::string& identity) {
  std::error_code error;
  fs::remove_all(directory_, error);
  checkpoint_ = {};
  checkpoint_.identity = identity;
  kept_names_ = 0;
  names_hash_ = io::Sha256();
  is_tree_in_names_ = false;
  spool_ = std::make_unique<Spool>(directory_);
  is_ours_ = true;
}

bool ImportStage::load(const std::string& identity) {
  try {
    const std::string text = io::read_text_file(directory_ / kCheckpointFile, kMaxCheckpointBytes);
    std::optional<ImportCheckpoint> checkpoint = parse_checkpoint(text);
    if (!checkpoint || checkpoint->identity != identity) return false;
    const char* const names_file = checkpoint->search.is_complete ? kTreeFile : kFoundFile;
    std::string names = checkpoint->names_bytes > 0 ? io::read_text_file(directory_ / names_file) : "";
    names.resize(std::min<uint64_t>(names.size(), checkpoint->names_bytes));
    names_hash_ = io::Sha256();
    names_hash_.update(names);
    const bool has_names = checkpoint->names_bytes > 0;
    if (has_names && io::Sha256(names_hash_).hex_digest() != checkpoint->names_sha256) return false;
    spool_ = std::make_unique<Spool>(directory_, checkpoint->spool);
    checkpoint_ = std::move(*checkpoint);
    SourceSearch& search = checkpoint_.search;
    for (size_t begin = 0; begin < names.size();) {
      const size_t end = std::min(names.find('\0', begin), names.size());
      search.found.push_back(names.substr(begin, end - begin));
      search.names_bytes += end - begin;
      begin = end + 1;
    }
    kept_names_ = search.found.size();
    return true;
  } catch (const DataError&) {
    return false;
  }
}

/// Appends to a file the names from number kept_names_ on, each with a zero byte after it.
void ImportStage::append_names(const char* file, const std::vector<std::string>& names, const std::string& root) {
  const fs::path path = directory_ / file;
  const io::FileDescriptor fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666));
  if (!fd.valid() || ::ftruncate(fd.get(), static_cast<off_t>(checkpoint_.names_bytes)) != 0 ||
      ::lseek(fd.get(), 0, SEEK_END) < 0) {
    io::throw_system_error("write", path, errno);
  }
  constexpr size_t kPieceBytes = size_t{1} << 20;
  std::string text;
  const auto put = [&] {
    io::write_all(fd, path, std::as_bytes(std::span(text)));
    checkpoint_.names_bytes += text.size();
    names_hash_.update(text);
    text.clear();
  };
  for (; kept_names_ < names.size(); ++kept_names_) {
    text.append(root).append(names[kept_names_]).push_back('\0');
    if (text.size() >= kPieceBytes) put();
  }
  put();
  if (::fdatasync(fd.get()) != 0) io::throw_system_error("sync", path, errno);
  checkpoint_.names_sha256 = io::Sha256(names_hash_).hex_digest();
}

void ImportStage::searched(const SourceSearch& search, const ArchiveFile& archive) {
  if (!search.is_complete && !is_due()) return;
  checkpoint_.search = without_names(search);
  if (search.is_complete) return;  // the names are kept with the first of what is read
  checkpoint_.search.position = archive.position(0);
  append_names(kFoundFile, search.found, "");
  save();
}

const SourceTree& ImportStage::find(const TreePattern& pattern) {
  const std::string identity = identity_of(task_, options_, source_);
  if (!open(identity)) {
    tree_ = source_.find(pattern);  // before what was kept is given up: --from may be mistyped
    if (options_.note) {
      options_.note("the import that was stopped was of other data or settings, or by another build: beginning again");
    }
    begin_again(identity);
    wait({});
    return tree_;
  }
  wait({});
  SourceSearch search = std::move(checkpoint_.search);
  checkpoint_.search = without_names(search);
  const bool was_searched = search.is_complete || search.position.members > 0;
  is_tree_in_names_ = search.is_complete;
  tree_ = source_.find(pattern, std::move(search),
                       [&](const SourceSearch& so_far, const ArchiveFile& archive) { searched(so_far, archive); });
  const std::optional<SourcePosition>& position = checkpoint_.position;
  if (!checkpoint_.tree.empty() &&
      (checkpoint_.tree != source_.fingerprint(tree_) || (position && position->file >= tree_.files.size()))) {
    if (options_.note) options_.note("files have changed since the import was stopped: beginning again");
    begin_again(identity);
  } else if (options_.note && (was_searched || position || checkpoint_.is_read)) {
    const uint64_t files = checkpoint_.is_read ? tree_.files.size()
                           : position          ? position->files + (position->is_done ? 1 : 0)
                                               : 0;
    options_.note(
        fmt::format("going on where the import was stopped: {} of {} files were read", files, tree_.files.size()));
  }
  return tree_;
}

void ImportStage::read(const std::function<void(StagedFile& file)>& visit, Hashes hashes) {
  if (checkpoint_.is_read) return;
  const std::optional<SourcePosition> from = checkpoint_.position;
  const FilePieces pieces = checkpoint_.pieces;
  source_.read(
      tree_,
      [&](size_t index, SourceFile& source) {
        const bool goes_on = from && !from->is_done && from->file == index;
        StagedFile file(*this, index, source, goes_on ? pieces : FilePieces(), hashes == Hashes::kFiles);
        file.skip(goes_on ? from->file_bytes : 0);
        visit(file);
        file.finish();
      },
      from);
  checkpoint_.is_read = true;
  checkpoint_.position.reset();
  checkpoint_.pieces = {};
  if (is_kept() || is_due()) save();
}

bool ImportStage::is_kept() const {
  std::error_code error;
  return fs::exists(directory_ / kCheckpointFile, error);
}

void ImportStage::remove() noexcept {
  std::error_code error;
  if (!is_ours_) return;
  fs::remove(directory_ / kCheckpointFile, error);  // first: without it the rest is of no use, see sweep()
  fs::remove_all(directory_, error);
}

/// Removes what is left of a stage whose process was killed while it removed it, after the dataset was there.
void ImportStage::sweep(const fs::path& data_dir, const std::string& task) {
  std::error_code error;
  const fs::path directory = stage_directory(data_dir, task);
  if (!fs::exists(directory, error) || fs::exists(directory / kCheckpointFile, error)) return;
  try {
    const auto lock = dataset_lock(data_dir, task);
    fs::remove_all(directory, error);
  } catch (const ResourceError&) {  // of a process that lives
  }
}

void run_staged_import(const fs::path& data_dir, const std::string& task, const ImportOptions& options,
                       const ProgressFn& progress, const std::function<void(ImportStage& stage)>& body) {
  try {
    refuse_existing_dataset(data_dir, task, options.force);
  } catch (const UsageError&) {
    ImportStage::sweep(data_dir, task);
    throw;
  }
  ImportStage stage(data_dir, task, options, progress);
  try {
    body(stage);
  } catch (const DataError&) {
    stage.remove();
    throw;
  } catch (...) {
    if (!stage.is_kept()) {
      stage.remove();
    } else if (stage.is_ours_ && options.note) {
      options.note(fmt::format("what has been read is kept in `{}`: the same command goes on from there",
                               stage.directory_.string()));
    }
    throw;
  }
  stage.remove();
}

std::optional<fs::path> stopped_import(const fs::path& data_dir, const std::string& task) {
  std::error_code error;
  const fs::path directory = stage_directory(data_dir, task);
  return fs::exists(directory / kCheckpointFile, error) ? std::optional(directory) : std::nullopt;
}

}  // namespace lra::tasks
