// The official files of Retrieval: pairs of documents, one a row, in five columns without a header.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "tasks/byte_stream.h"
#include "tasks/split.h"

namespace lra::tasks::retrieval {

/// "new_aan_pairs.eval.tsv" for the validation split.
const char* official_file(SplitName split);

struct Pair {
  int label = 0;  // 1: one document cites the other
  std::string_view first;
  std::string_view second;
};

/// Reads one file; `path` names it in messages. Of a document no more than `max_bytes` are kept, so that memory does
/// not depend on the file. Quotes mean nothing. Throws: DataError naming file, line and column for another number of
/// columns, and for labels other than 0.0 and 1.0.
void read_pairs(ByteStream& bytes, const std::string& path, int64_t max_bytes,
                const std::function<void(const Pair&)>& pair);

}  // namespace lra::tasks::retrieval
