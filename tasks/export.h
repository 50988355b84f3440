// Writes a split of a prepared dataset for other programs: the official text format, or padded NumPy arrays.
#pragma once

#include <filesystem>

#include "tasks/dataset.h"
#include "tasks/task.h"

namespace lra::tasks {

/// Writes the text file that the task is imported from (Text: lines that custom_text reads); importing it again gives
/// the same examples, but for characters that the vocabulary lacks. Throws: as Task::tsv_row(); ResourceError.
void export_tsv(const Task& task, const Dataset& dataset, SplitName name, const std::filesystem::path& output,
                const ProgressFn& progress);

/// Writes tokens [examples, n] (two inputs: [examples, 2, n]), padded with 0 or cut on the right to the nominal length
/// n, to `output`, and labels [examples] beside it. Throws: ResourceError.
void export_npy(const Dataset& dataset, SplitName name, const std::filesystem::path& output,
                const ProgressFn& progress);

/// Where export_npy puts the labels: "x.npy" -> "x.labels.npy".
std::filesystem::path labels_path(const std::filesystem::path& output);

}  // namespace lra::tasks
