// What a task is: the facts that describe it, and how its data are generated, imported, shown and guessed at.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tasks/split.h"

namespace lra::tasks {

class Dataset;

/// Told how much is done; `total` is the same in every call, but for 0 while it is not known yet. Always called from
/// the thread that started the work. It may throw to stop the work, which then leaves nothing behind.
using ProgressFn = std::function<void(uint64_t done, uint64_t total)>;

/// Told in one sentence what the user should know of the work that goes on.
using NoteFn = std::function<void(const std::string& sentence)>;

/// Values of `--set task.<name>=<value>`, under the full key ("task.max_length").
using ParameterTexts = std::map<std::string, std::string>;

/// Where the literature takes its validation examples from. A dataset of a task that has no split of its own for them
/// stores an empty one: which examples it comes to is decided by the run's `task.split_policy` (see validation.h).
enum class ValidationSource {
  own,         // the data come with a validation split
  test,        // the test split
  train_tail,  // the last tenth of the train split, in file order
};

/// Of tasks whose tokens are the pixels 0..255 of an image, row by row.
struct ImageFacts {
  int height = 0;  // 0, as the width: the data decide (the parameters `height` and `width` in dataset.json)
  int width = 0;
  double mean = 0;    // of v / 255: what real-valued pixels are normalised by
  double stddev = 1;  // of v / 255
};

struct TaskFacts {
  std::string name;                  // as typed: "listops"
  std::vector<std::string> aliases;  // other names it answers to
  std::string full_name;             // "ListOps"
  std::string citation;
  int num_classes = 0;                  // 0, as an empty vocabulary: the data decide (dataset.json)
  std::vector<std::string> vocabulary;  // id -> symbol; id 0 is the padding
  int64_t nominal_length = 0;           // tokens that a model must be able to take, per input
  SplitSizes default_examples;          // per split, of the official data
  int inputs_per_example = 1;           // 2: two sequences are classified together (Retrieval)
  bool supports_generate = false;
  ValidationSource paper_validation = ValidationSource::own;
  std::optional<ImageFacts> image = {};

  int vocab_size() const { return static_cast<int>(vocabulary.size()); }
};

struct GenerateOptions {
  uint64_t seed = 0;
  int threads = 0;      // 0: one per available processor. The bytes written do not depend on it
  SplitSizes examples;  // per split; some may be 0, not all
  ParameterTexts parameters = {};
  bool force = false;  // replace an existing dataset
};

struct ImportOptions {
  std::filesystem::path from = {};  // a directory, an archive or a file: see source.h
  ParameterTexts parameters = {};
  bool force = false;
  NoteFn note = {};                  // may be empty
  ProgressFn writing = {};           // may be empty; told of the examples that are written, after all have been read
  double checkpoint_interval_s = 2;  // an import that is stopped goes on from about so long ago
};

/// What a predictor scores that does not read the sequence as the task intends.
struct ShortcutBaseline {
  std::string name;         // "majority"
  double accuracy = 0;      // 0..1, on the test split
  std::string explanation;  // one line
};

/// One task. Implementations are stateless and registered from their own folder (see registry.h).
class Task {
 public:
  virtual ~Task() = default;

  virtual const TaskFacts& facts() const = 0;

  /// Generates the prepared dataset `data_dir/<name>/`. Throws: UsageError when the task has no generator, for unknown
  /// or absurd parameters, or for an existing dataset without `force`; ResourceError.
  virtual void generate(const GenerateOptions& options, const std::filesystem::path& data_dir,
                        const ProgressFn& progress) const;

  /// Converts the official files into `data_dir/<name>/`. Throws: DataError naming file, line and column of what is
  /// malformed; UsageError; ResourceError.
  virtual void import(const ImportOptions& options, const std::filesystem::path& data_dir,
                      const ProgressFn& progress) const = 0;

  /// Predictors fitted on the train split and scored on the test split; empty when either split is empty.
  virtual std::vector<ShortcutBaseline> shortcut_baselines(const Dataset& dataset) const = 0;

  /// First line and further lines of a text file that is imported again (see export.h), with their line ends.
  /// Throws: UsageError when the task has no such file, or cannot write an example into it; DataError for an example
  /// that was altered.
  virtual std::string tsv_header() const;
  virtual std::string tsv_row(const Dataset& dataset, const Split& split, int64_t example) const;

  /// Writes one image per example of a split into `directory`. Throws: UsageError when the examples are no images.
  virtual void export_images(const Dataset& dataset, SplitName split, const std::filesystem::path& directory,
                             const ProgressFn& progress) const;
};

}  // namespace lra::tasks
