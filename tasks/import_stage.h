// The reading half of an import, which can be stopped at any instant and goes on where it was.
//
//   run_staged_import(data_dir, "text", options, progress, [&](ImportStage& stage) {
//     const SourceTree& tree = stage.find(pattern);
//     stage.read([&](StagedFile& file) { … file.add(split, key, bytes, label); });
//     DatasetWriter writer = stage.writer(manifest);
//     stage.write_to(writer);
//     writer.finish();
//   });
//
// What an importer knows of its source after read() is in the spool, not in its own variables: an import that goes on
// does not visit again what an earlier one has read.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/io/directory_lock.h"
#include "engine/io/sha256.h"
#include "tasks/dataset_writer.h"
#include "tasks/import_checkpoint.h"
#include "tasks/source.h"
#include "tasks/spool.h"
#include "tasks/task.h"

namespace lra::tasks {

class ImportStage;

/// One file while it is read: a stream of what is left of it.
class StagedFile final : public ByteStream {
 public:
  size_t index() const { return index_; }            // in SourceTree::files
  const std::string& path() const { return path_; }  // below the root
  const std::string& shown() const { return shown_; }

  /// How many whole pieces of the file an earlier import has read; the stream begins after them.
  uint64_t earlier_pieces() const { return begin_.pieces; }

  size_t read(std::span<std::byte> buffer) override;

  /// Puts an example into the spool. Throws: ResourceError.
  void add(SplitName split, uint64_t key, std::span<const uint8_t> bytes, int label);
  void add(SplitName split, uint64_t key, std::string_view text, int label);

  /// Says that what was added came from the first `bytes` of this stream, which end with piece number `pieces` of the
  /// file (from 1): the import may go on there. A file that is read at once needs no such calls.
  void reached(uint64_t bytes, uint64_t pieces);

 private:
  friend class ImportStage;

  StagedFile(ImportStage& stage, size_t index, SourceFile& source, const FilePieces& begin, bool is_hashed);
  void skip(uint64_t from_bytes);
  void finish();

  ImportStage& stage_;
  SourceFile& source_;
  size_t index_;
  std::string path_;
  std::string shown_;
  FilePieces begin_;
  std::optional<io::Sha256> hash_;
  uint64_t read_bytes_ = 0;  // of the file
  // Before the last read(): where reading can be taken up with the hash as it was.
  uint64_t entry_bytes_ = 0;
  std::optional<io::Sha256> entry_hash_;
};

class ImportStage {
 public:
  ImportStage(const std::filesystem::path& data_dir, std::string task, const ImportOptions& options,
              ProgressFn progress);
  ImportStage(const ImportStage&) = delete;
  ImportStage& operator=(const ImportStage&) = delete;

  const Source& source() const { return source_; }

  /// Source::find(), once. Takes up what an earlier import of the same data has left; what one of other data has left
  /// is given up when these are found. Throws: ResourceError when another process makes a dataset of the task.
  const SourceTree& find(const TreePattern& pattern);

  enum class Hashes { kNone, kFiles };

  /// Visits the files of the tree, but for those that an earlier import has read, once each in the order of the source.
  /// With kFiles, file_sha256() has the hash of each file afterwards.
  void read(const std::function<void(StagedFile& file)>& visit, Hashes hashes = Hashes::kNone);

  const SourceTree& tree() const { return tree_; }  // that find() has found
  std::string shown(size_t file) const { return source_.shown(tree_, file); }

  Spool& spool() { return *spool_; }

  /// For what the spool holds. Throws as DatasetWriter does.
  DatasetWriter writer(Manifest manifest) const;

  /// Spool::for_each(), of which the user is told: the pass in which the dataset is written.
  void for_each(const std::function<void(const Spool::Example& example)>& example);

  /// Writes all examples, their bytes as token ids.
  void write_to(DatasetWriter& writer);

  const std::map<std::string, std::string>& file_sha256() const { return checkpoint_.file_sha256; }

 private:
  friend class StagedFile;
  friend void run_staged_import(const std::filesystem::path&, const std::string&, const ImportOptions&,
                                const ProgressFn&, const std::function<void(ImportStage&)>&);

  bool open(const std::string& identity);
  bool load(const std::string& identity);
  void begin_again(const std::string& identity);
  bool is_due() const;
  void wait(std::chrono::steady_clock::duration saving);
  void save();
  void searched(const SourceSearch& search, const ArchiveFile& archive);
  void append_names(const char* file, const std::vector<std::string>& names, const std::string& root);
  bool is_kept() const;
  void remove() noexcept;
  static void sweep(const std::filesystem::path& data_dir, const std::string& task);

  std::filesystem::path data_dir_;
  std::string task_;
  std::filesystem::path directory_;  // data_dir/.<task>.import
  const ImportOptions& options_;
  Source source_;
  std::shared_ptr<io::DirectoryLock> lock_;  // shared with the writer
  std::unique_ptr<Spool> spool_;
  bool is_ours_ = false;  // what is in directory_
  SourceTree tree_;
  ImportCheckpoint checkpoint_;
  size_t kept_names_ = 0;          // in their file
  io::Sha256 names_hash_;          // of that
  bool is_tree_in_names_ = false;  // and the search is over
  std::chrono::steady_clock::time_point next_save_;
};

/// Runs `body`. What was read is removed when it returns, and when it throws a DataError; when it ends otherwise
/// (stopped, killed, a full disk), the next import of the same data by the same program goes on with it, at most
/// ImportOptions::checkpoint_interval_s behind. Throws: what `body` throws; UsageError for an existing dataset.
void run_staged_import(const std::filesystem::path& data_dir, const std::string& task, const ImportOptions& options,
                       const ProgressFn& progress, const std::function<void(ImportStage& stage)>& body);

/// Where an import that was stopped keeps what it has read; nothing when there is none to go on with.
std::optional<std::filesystem::path> stopped_import(const std::filesystem::path& data_dir, const std::string& task);

}  // namespace lra::tasks
