// The files of an import's `--from PATH`, wherever they are: in a directory tree, in an archive, or one file.
//
//   const Source source(from, note, progress);
//   const SourceTree tree = source.find({.what = "…", .root_bytes = …});
//   source.read(tree, [&](size_t i, ByteStream& bytes) { … tree.files[i] … });
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

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

/// The last name of a path, as it can stand in a manifest: "pets" of "data/pets/".
std::string name_of(const std::filesystem::path& from);

struct SourceTree {
  std::string root;                // path below --from, empty or ending in '/'
  std::vector<std::string> files;  // paths below the root, sorted
};

/// Looks at files only when asked to; keeps no file open between calls.
class Source {
 public:
  /// `note` is told in a sentence what was passed over; `progress` covers find() and `reads` calls of read().
  /// Throws: DataError when there is no such path.
  explicit Source(std::filesystem::path from, NoteFn note = {}, ProgressFn progress = {}, int reads = 1);

  /// Whether --from is a file that is no archive.
  bool is_single_file() const { return kind_ == Kind::kFile; }

  /// Finds the tree. Where there are several, the inner copy of the LRA release (`lra_release/lra_release/`) is taken
  /// and noted; others are ambiguous. Passed over: links, devices, and names that lead out of the archive.
  /// Throws: DataError for no tree, an ambiguous or incomplete one, too many files, and damaged archives.
  SourceTree find(const TreePattern& pattern) const;

  /// Visits each file of the tree once: in the order of tree.files from a directory, in its own from an archive.
  void read(const SourceTree& tree, const std::function<void(size_t file, ByteStream& bytes)>& visit) const;

  /// A file of the tree, as messages name it: "dir/a/b.txt", "x.tar.gz: a/b.txt".
  std::string shown(const SourceTree& tree, size_t file) const;

 private:
  using Found = std::function<void(const std::string& path)>;

  void find_in_directory(const TreePattern& pattern, const Found& found) const;
  void find_in_archive(const TreePattern& pattern, const Found& found) const;
  void read_directory(const SourceTree& tree, const std::function<void(size_t, ByteStream&)>& visit) const;
  void read_archive(const SourceTree& tree, const std::function<void(size_t, ByteStream&)>& visit) const;
  std::string shown_path(const std::string& path) const;
  void report(uint64_t done_bytes, uint64_t bytes, int passes) const;

  enum class Kind { kDirectory, kArchive, kFile };

  std::filesystem::path from_;
  NoteFn note_;
  ProgressFn progress_;
  int reads_ = 1;
  mutable int passes_done_ = 0;  // for `progress`
  Kind kind_ = Kind::kFile;
};

}  // namespace lra::tasks
