// Reads the official ListOps files: basic_train.tsv, basic_val.tsv and basic_test.tsv.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "tasks/byte_stream.h"
#include "tasks/split.h"
#include "tasks/tsv.h"

namespace lra::tasks::listops {

/// The official name of the file of a split: "basic_val.tsv".
const char* official_file(SplitName split);

inline constexpr const char* kOfficialHeader = "Source\tTarget";

/// Called for each row in order. `rows` tells where it is.
using RowFn = std::function<void(std::span<const uint8_t> tokens, int target, const TsvReader& rows)>;

/// Reads one file, with LF or CRLF line ends; `path` names it in messages. Each target is checked against the value of
/// its expression. Throws: DataError naming file, line, column and what was expected; also for expressions of
/// `max_length` or more tokens, which must not be cut. `bytes` begin after `earlier_lines` of the file.
void read_official_file(ByteStream& bytes, const std::string& path, int64_t max_length, const RowFn& row,
                        uint64_t earlier_lines = 0);

}  // namespace lra::tasks::listops
