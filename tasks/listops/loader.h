// Reads the official ListOps files: basic_train.tsv, basic_val.tsv and basic_test.tsv.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>

#include "tasks/split.h"

namespace lra::tasks::listops {

/// The official name of the file of a split: "basic_val.tsv".
const char* official_file(SplitName split);

inline constexpr const char* kOfficialHeader = "Source\tTarget";

/// The directory under `from` that holds the three files: `from` itself, or `listops-1000` in one of the layouts that
/// the release archive unpacks to (its inner copy before its older outer one).
/// Throws: DataError naming what was looked for.
std::filesystem::path find_official_directory(const std::filesystem::path& from);

/// Called for each row in order, with how many bytes of the file have been read.
using RowFn = std::function<void(std::span<const uint8_t> tokens, int target, uint64_t read_bytes)>;

/// Reads one file, with LF or CRLF line ends. Each target is checked against the value of its expression.
/// Throws: DataError naming file, line, column and what was expected; also for expressions of `max_length` or more
/// tokens, which must not be cut.
void read_official_file(const std::filesystem::path& path, int64_t max_length, const RowFn& row);

}  // namespace lra::tasks::listops
