// Puts examples that come in any order (an archive has its own) into the order of their keys.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "engine/io/file.h"
#include "tasks/dataset_writer.h"
#include "tasks/split.h"

namespace lra::tasks {

/// The bytes of examples wait in a file without a name, which the system removes however the process ends; 32 bytes an
/// example are kept in memory. For tasks with one input.
class Spool {
 public:
  /// The file takes disk space in `directory`, which is made if need be. Throws: ResourceError.
  explicit Spool(const std::filesystem::path& directory);

  /// Keys of a split are distinct. Throws: ResourceError.
  void add(SplitName split, uint64_t key, std::span<const uint8_t> bytes, int label);

  struct Place {
    uint64_t key = 0;
    int label = 0;
  };

  /// Gives each example another key and label, or drops it: for what is known only when all have been added.
  void renumber(const std::function<std::optional<Place>(uint64_t key)>& place);

  /// Calls `example` for all examples: split after split, in the order of keys. The bytes are valid during the call.
  void for_each(const std::function<void(SplitName split, std::span<const uint8_t> bytes, int label)>& example);

  /// Writes all examples to `writer`, their bytes as token ids.
  void write_to(DatasetWriter& writer);

 private:
  struct Entry {
    uint64_t key = 0;
    uint64_t begin = 0;  // in the file
    uint64_t size = 0;
    SplitName split = SplitName::kTrain;
    uint8_t label = 0;
  };

  void flush();

  std::filesystem::path directory_;
  io::FileDescriptor fd_;
  std::vector<Entry> entries_;
  std::vector<uint8_t> buffer_;  // not yet in the file
  uint64_t file_bytes_ = 0;
};

}  // namespace lra::tasks
