// The files of an import's `--from PATH`, wherever they are: in a directory tree, in an archive, or one file.
//
//   const Source source(from, note, progress);
//   const SourceTree tree = source.find({.what = "…", .root_bytes = …});
//   source.read(tree, [&](size_t i, SourceFile& bytes) { … tree.files[i] … });
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tasks/archive_file.h"
#include "tasks/byte_stream.h"
#include "tasks/task.h"

namespace lra::tasks {

/// What an importer looks for. Published archives nest their trees differently, so a tree may lie anywhere below
/// --from.
struct TreePattern {
  std::string what;  // for messages: "the files of ListOps"

  /// For a file that belongs to such a tree, how many bytes of its path come before it ("a/b/" of "a/b/train/x.txt");
  /// nothing for other files.
  std::function<std::optional<size_t>(std::string_view path)> root_bytes;

  std::vector<std::string> required = {};  // names below the root without which a tree does not count

  /// Of files that belong to no tree: whether they look as if they should, so that the user is told ("files that are
  /// neither PNG nor JPEG"). May be empty.
  std::function<bool(std::string_view path)> is_unusable = {};
  const char* unusable = "";
};

/// A pattern for a tree of exactly these files, in one directory.
TreePattern files_pattern(std::string what, std::vector<std::string> names);

/// Where a name is that is one of `names`.
size_t position_in(const std::vector<std::string>& names, const std::string& name);

/// The last name of a path, as it can stand in a manifest: "pets" of "data/pets/".
std::string name_of(const std::filesystem::path& from);

/// Size and time of a file, as text; empty when it cannot be looked at.
std::string file_stamp(const std::filesystem::path& path);

struct SourceTree {
  std::string root;                // path below --from, empty or ending in '/'
  std::vector<std::string> files;  // paths below the root, sorted
};

/// Files that are passed over though they look as if they were wanted, with the first of them.
struct PassedOver {
  int64_t count = 0;
  std::string first;

  void add(const std::string& path);
};

/// What has been found below --from, and how far an archive has been looked through.
struct SourceSearch {
  std::vector<std::string> found;  // paths of files that belong to a tree
  uint64_t names_bytes = 0;        // of these
  PassedOver links;                // and special files
  PassedOver unusable;             // as the pattern has it
  PassedOver unsafe;               // names that lead out of the archive
  ArchivePosition position;        // from which it goes on; of a member that has been looked at
  bool is_complete = false;
};

/// How far the files of a tree have been read: in one of them, or at its end.
struct SourcePosition {
  uint64_t files = 0;  // that came before this one
  size_t file = 0;     // its place in SourceTree::files
  uint64_t file_bytes = 0;
  bool is_done = false;  // the file needs no more reading
  std::optional<ArchivePosition> archive;
};

/// The bytes of one file of a source.
class SourceFile : public ByteStream {
 public:
  /// Where the first `file_bytes` of the file have been read, and perhaps a little more.
  virtual SourcePosition position(uint64_t file_bytes) const = 0;
};

/// Looks at files only when asked to; keeps no file open between calls.
class Source {
 public:
  /// `note` is told in a sentence what was passed over; `progress` covers find() and one call of read().
  /// Throws: DataError when there is no such path.
  explicit Source(std::filesystem::path from, NoteFn note = {}, ProgressFn progress = {});

  /// Whether --from is a file that is no archive.
  bool is_single_file() const { return kind_ == Kind::kFile; }

  using Searched = std::function<void(const SourceSearch& search, const ArchiveFile& archive)>;

  /// Finds the tree. Where there are several, the inner copy of the LRA release (`lra_release/lra_release/`) is taken
  /// and noted; others are ambiguous. Passed over: links, devices, and names that lead out of the archive.
  ///
  /// An archive is looked through from where `search` ends. `searched` is called in each file of it, and at the end.
  /// Throws: DataError for no tree, an ambiguous or incomplete one, too many files, and damaged archives.
  SourceTree find(const TreePattern& pattern, SourceSearch search = {}, const Searched& searched = {}) const;

  using Visit = std::function<void(size_t file, SourceFile& bytes)>;

  /// Visits each file of the tree once: in the order of tree.files from a directory, in its own from an archive. With
  /// `from`, goes on there: the file that was being read is visited from its byte `file_bytes`.
  void read(const SourceTree& tree, const Visit& visit, const std::optional<SourcePosition>& from = {}) const;

  /// What tells whether --from is what it was: the size and time of a file or archive, of a directory those of all
  /// files of the tree.
  std::string fingerprint(const SourceTree& tree) const;
  std::string fingerprint() const;  // of a directory only its path

  /// A file of the tree, as messages name it: "dir/a/b.txt", "x.tar.gz: a/b.txt".
  std::string shown(const SourceTree& tree, size_t file) const;

 private:
  void search_directory(const TreePattern& pattern, SourceSearch& search) const;
  void search_archive(const TreePattern& pattern, SourceSearch& search, const Searched& searched) const;
  void add_found(const TreePattern& pattern, SourceSearch& search, const std::string& path) const;
  SourceTree choose(const TreePattern& pattern, std::vector<std::string> found) const;
  void read_directory(const SourceTree& tree, const Visit& visit, const std::optional<SourcePosition>& from) const;
  void read_archive(const SourceTree& tree, const Visit& visit, const std::optional<SourcePosition>& from) const;
  std::filesystem::path path_of(const SourceTree& tree, size_t file) const;
  std::string shown_path(const std::string& path) const;
  void report(uint64_t done_bytes, uint64_t total_bytes) const;

  enum class Kind { kDirectory, kArchive, kFile };

  std::filesystem::path from_;
  NoteFn note_;
  ProgressFn progress_;
  Kind kind_ = Kind::kFile;
};

}  // namespace lra::tasks
