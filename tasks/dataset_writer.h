// Writes a prepared dataset so that it appears complete under its name, or not at all.
#pragma once

#include <array>
#include <filesystem>
#include <memory>
#include <span>
#include <vector>

#include "engine/io/directory_lock.h"
#include "engine/io/npy.h"
#include "tasks/manifest.h"

namespace lra::tasks {

/// Arrays go to the hidden directory `data_dir/.<task>.tmp`; finish() syncs it and renames it to `data_dir/<task>`.
/// With `force` an existing dataset is exchanged for the new one at that moment and removed afterwards, so that one of
/// the two is there at every instant. What a killed process left is removed by the next writer: only one can hold the
/// lock.
class DatasetWriter {
 public:
  /// `manifest` gives everything but what the writer fills in. Throws: UsageError for an existing dataset without
  /// `force`, or for a directory of that name which holds something else; ResourceError when another process writes
  /// the same dataset, or the directory cannot be written.
  /// With `lock`, a dataset_lock() that the caller holds for longer.
  DatasetWriter(const std::filesystem::path& data_dir, Manifest manifest, bool force,
                std::shared_ptr<io::DirectoryLock> lock = nullptr);
  DatasetWriter(const DatasetWriter&) = delete;
  DatasetWriter& operator=(const DatasetWriter&) = delete;

  /// Without finish(): removes the temporary directory.
  ~DatasetWriter();

  /// Appends one sequence to a split. Tasks with two inputs call it twice before the label. The token type is that of
  /// the manifest. Throws: ResourceError.
  void add_sequence(SplitName split, std::span<const uint8_t> tokens);
  void add_sequence(SplitName split, std::span<const uint16_t> tokens);
  void add_label(SplitName split, int label);

  /// What has been found out while writing (counts of the source, hashes of its files) may be added before finish().
  Manifest& manifest() { return manifest_; }

  /// Makes the dataset durable and visible; returns its directory. Throws: ResourceError.
  std::filesystem::path finish();

 private:
  struct SplitWriters {
    io::NpyStreamWriter tokens;
    io::NpyStreamWriter offsets;
    io::NpyStreamWriter labels;
    uint64_t sequences = 0;
  };

  /// The temporary directory: removed with the writer, also where its constructor throws.
  struct Draft {
    std::filesystem::path path;
    bool is_ours = false;  // made under the lock and not published
    ~Draft();
  };

  void refuse_or_prepare(bool force);
  template <class T>
  void add(SplitName split, std::span<const T> tokens);
  void publish();

  std::filesystem::path data_dir_;
  Manifest manifest_;
  std::filesystem::path target_;
  std::filesystem::path previous_;  // where the earlier dataset waits if the two cannot be exchanged in one step
  std::shared_ptr<io::DirectoryLock> lock_;
  Draft draft_;
  std::vector<SplitWriters> splits_;
};

/// Of all who make the dataset of a task in an existing directory, only one can hold it. Throws: ResourceError when
/// another process does.
std::shared_ptr<io::DirectoryLock> dataset_lock(const std::filesystem::path& data_dir, const std::string& task);

/// Throws what the constructor of DatasetWriter would throw for an existing dataset: a check before long work.
void refuse_existing_dataset(const std::filesystem::path& data_dir, const std::string& task, bool force);

}  // namespace lra::tasks
