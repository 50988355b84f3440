// Puts examples that come in any order (an archive has its own) into the order of their keys.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/io/file.h"
#include "engine/io/sha256.h"
#include "tasks/split.h"

namespace lra::tasks {

/// The bytes of examples wait in a file; 32 bytes an example are kept in memory, and in a second file those of the
/// examples that sync() has seen. What it has seen survives the process. For tasks with one input.
class Spool {
 public:
  /// How much there is.
  struct Extent {
    uint64_t bytes = 0;
    uint64_t examples = 0;
    std::string entries_sha256 = {};  // of what is known of each beside its bytes
  };

  /// Its files are in `directory`, which is made if need be. Takes up what an earlier object had at a sync(), else
  /// begins with nothing. Throws: ResourceError; DataError when there is less than `kept`, or it was altered.
  explicit Spool(const std::filesystem::path& directory) : Spool(directory, Extent()) {}
  Spool(const std::filesystem::path& directory, const Extent& kept);

  /// Keys of a split are distinct. Throws: ResourceError.
  void add(SplitName split, uint64_t key, std::span<const uint8_t> bytes, int label);

  uint64_t size() const { return entries_.size(); }

  /// Makes all that was added durable. Throws: ResourceError.
  Extent sync();

  struct Example {
    SplitName split = SplitName::kTrain;
    uint64_t key = 0;
    int label = 0;
    uint64_t size = 0;               // of `bytes`
    std::span<const uint8_t> bytes;  // valid during a call of for_each()

    std::string_view text() const { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }
  };

  struct Place {
    uint64_t key = 0;
    int label = 0;
  };

  /// Gives each example another key and label, or drops it: for what is known only when all have been added.
  void renumber(const std::function<std::optional<Place>(const Example& without_bytes)>& place);

  /// Calls `example` for all examples: split after split, in the order of keys. Those for which `is_wanted` says no,
  /// asked without bytes, are passed over.
  void for_each(const std::function<void(const Example& example)>& example,
                const std::function<bool(const Example& without_bytes)>& is_wanted = {});

 private:
  /// As in the file.
  struct Entry {
    uint64_t key = 0;
    uint64_t begin = 0;  // in the file of bytes
    uint64_t size = 0;
    SplitName split = SplitName::kTrain;
    uint8_t label = 0;
  };

  static Example without_bytes(const Entry& entry);
  void load(const Extent& kept);
  void flush();

  std::filesystem::path bytes_path_;
  std::filesystem::path entries_path_;
  io::FileDescriptor bytes_fd_;
  io::FileDescriptor entries_fd_;
  std::vector<Entry> entries_;
  size_t synced_entries_ = 0;
  io::Sha256 entries_hash_;      // of these
  std::vector<uint8_t> buffer_;  // not yet in the file
  uint64_t file_bytes_ = 0;
};

}  // namespace lra::tasks
