// The official files that tasks are imported from: where they are published, how large, under which terms.
//
// Each task folder states its own in `sources.json`, which is compiled into the program.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lra::tasks {

struct PublishedFile {
  std::string name;                     // "lra_release.gz"
  std::vector<std::string> urls;        // the official address, then mirrors
  std::optional<uint64_t> size_bytes;   // exact, where it is known
  std::optional<uint64_t> about_bytes;  // rounded, where only that is known
  std::optional<std::string> sha256;    // 64 lower-case hexadecimal digits, where it is known
  std::string licence;
  std::string citation;
  std::string note;
  std::string evidence;  // where size and hash were read

  /// The exact size, else the rounded one; 0 when neither is known.
  uint64_t likely_bytes() const { return size_bytes.value_or(about_bytes.value_or(0)); }
};

/// What one sources.json holds. The JSON has the keys of PublishedFile, null for what is not known; a file that
/// another folder describes is {"name": "lra_release.gz", "described_in": "listops"}.
struct SourcesFile {
  /// Of a file that the folder `described_in` describes, only `file.name` is set.
  struct Entry {
    PublishedFile file;
    std::string described_in;  // empty: `file` is complete
  };
  std::vector<std::string> tasks;  // "listops"; "pathfinder*" is every name that begins so
  std::vector<Entry> files;
};

/// Throws: DataError naming `where` and what is missing, malformed or unknown.
SourcesFile parse_sources(std::string_view text, const std::string& where);

/// The files of a task, by its own name (no alias); empty for tasks whose data are not published. Throws: DataError.
std::vector<PublishedFile> published_files(std::string_view task);

/// Whether `text` is 64 lower-case hexadecimal digits.
bool is_sha256(std::string_view text);

}  // namespace lra::tasks
