// How far an import has come, as a file that the next one goes on from.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "tasks/source.h"
#include "tasks/spool.h"

namespace lra::tasks {

/// How far one file has been read that is read in pieces (rows, records).
struct FilePieces {
  uint64_t bytes = 0;        // of the file, up to the end of a piece; SourcePosition::file_bytes is not beyond it
  uint64_t pieces = 0;       // that end there
  std::string sha256_state;  // of the bytes before SourcePosition::file_bytes; empty where they are not hashed
};

struct ImportCheckpoint {
  std::string identity;  // of program, task, parameters and --from: an import of another one begins again
  SourceSearch search;   // without the names that were found, which are in a file of their own
  uint64_t names_bytes = 0;
  std::string names_sha256;
  std::string tree;  // fingerprint of what is read; empty while it is searched
  Spool::Extent spool;
  std::optional<SourcePosition> position;  // nothing: no file has been read
  FilePieces pieces;                       // of the file of `position`
  bool is_read = false;                    // all has been
  std::map<std::string, std::string> file_sha256;
};

std::string checkpoint_text(const ImportCheckpoint& checkpoint);

/// Nothing for a text that checkpoint_text() has not made.
std::optional<ImportCheckpoint> parse_checkpoint(std::string_view text);

}  // namespace lra::tasks
