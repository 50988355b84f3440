// A file of labelled texts: one example a line, `label<TAB>text`.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "tasks/byte_stream.h"
#include "tasks/tsv.h"

namespace lra::tasks::custom {

/// Called for each line. `rows` tells where it is, for errors: column 0 is the label, column 1 the text.
using LineFn = std::function<void(std::string_view label, std::string_view text, const TsvReader& rows)>;

/// Reads one file; `path` names it in messages. Of a text no more than `max_bytes` are kept; it may hold tabs. A byte
/// order mark at the start is passed over. `bytes` begin after `earlier_lines` of the file. Throws: DataError naming
/// file, line and column for a line without a tab.
void read_labelled_lines(ByteStream& bytes, const std::string& path, int64_t max_bytes, const LineFn& line,
                         uint64_t earlier_lines = 0);

}  // namespace lra::tasks::custom
