// A prepared dataset: `data_dir/<task>/` with memory-mapped arrays of tokens, offsets and labels for each split.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>

#include "engine/io/npy.h"
#include "tasks/manifest.h"
#include "tasks/split.h"
#include "tasks/task.h"

namespace lra::tasks {

/// Views (Split, spans of tokens) stay valid as long as the Dataset, also when it is moved.
class Dataset {
 public:
  /// Maps the arrays and checks their structure: types, sizes against dataset.json, offsets that rise to the number of
  /// tokens, labels in range. Token values are left to verify(). Throws: DataError naming the file, with the command
  /// that makes or checks the dataset as its hint. `name` may be an alias of the task.
  static Dataset open(const std::filesystem::path& data_dir, const std::string& name);

  const Manifest& manifest() const { return manifest_; }
  const std::filesystem::path& directory() const { return directory_; }
  const Split& split(SplitName name) const { return splits_[static_cast<size_t>(name)]; }
  const Split& train() const { return split(SplitName::kTrain); }
  const Split& validation() const { return split(SplitName::kValidation); }
  const Split& test() const { return split(SplitName::kTest); }

  int num_classes() const { return manifest_.num_classes; }
  int vocab_size() const { return static_cast<int>(manifest_.vocabulary.size()); }
  uint64_t disk_bytes() const;

  /// Hashes every array again and checks that every token is in the vocabulary. `progress` counts bytes.
  /// Throws: DataError naming the first file that does not match.
  void verify(const ProgressFn& progress) const;

 private:
  struct Arrays {
    io::NpyArray tokens;
    io::NpyArray offsets;
    io::NpyArray labels;
  };

  void open_split(SplitName name);
  io::NpyArray open_array(SplitName name, const std::string& what, io::NpyType type, uint64_t elements) const;
  void check_offsets(SplitName name) const;
  void check_labels(SplitName name) const;
  void check_tokens(SplitName name) const;
  [[noreturn]] void fail(const std::string& file, const std::string& what) const;

  std::filesystem::path directory_;
  Manifest manifest_;
  std::array<Arrays, 3> arrays_;
  std::array<Split, 3> splits_;
};

}  // namespace lra::tasks
