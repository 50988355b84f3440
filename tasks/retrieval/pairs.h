// The official files of Retrieval: pairs of documents, one a row, in five columns without a header.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tasks/byte_stream.h"
#include "tasks/split.h"
#include "tasks/tsv.h"

namespace lra::tasks::retrieval {

/// "new_aan_pairs.eval.tsv" for the validation split.
const char* official_file(SplitName split);

struct Pair {
  int label = 0;  // 1: one document cites the other
  std::string_view first;
  std::string_view second;
};

/// Called for each row in order. `rows` tells where it is.
using PairFn = std::function<void(const Pair& pair, const TsvReader& rows)>;

/// Reads one file; `path` names it in messages. Of a document no more than `max_bytes` are kept, so that memory does
/// not depend on the file. Quotes mean nothing. Throws: DataError naming file, line and column for another number of
/// columns, and for labels other than 0.0 and 1.0. `bytes` begin after `earlier_lines` of the file.
void read_pairs(ByteStream& bytes, const std::string& path, int64_t max_bytes, const PairFn& pair,
                uint64_t earlier_lines = 0);

/// A pair as one run of bytes, without its label.
void pack(const Pair& pair, std::vector<uint8_t>& packed);

/// Of what pack() made, in which the documents lie. Throws: DataError for other bytes.
Pair unpacked(std::span<const uint8_t> packed, int label);

}  // namespace lra::tasks::retrieval
