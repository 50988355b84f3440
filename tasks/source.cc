#include "tasks/source.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <system_error>

#include "engine/errors.h"
#include "engine/io/file.h"
#include "tasks/archive_file.h"
#include "tasks/location.h"

namespace lra::tasks {
namespace fs = std::filesystem;

namespace {

// Together they bound the memory of a tree's names.
constexpr size_t kMaxFiles = 1'000'000;
constexpr size_t kMaxNamesBytes = size_t{100} << 20;

/// Files that were wanted by name and passed over, with the first of them.
struct PassedOver {
  int64_t count = 0;
  std::string first;

  void add(const std::string& path) {
    if (count++ == 0) first = printable(path);
  }

  void tell(const NoteFn& note, const std::string& from, const char* what) const {
    if (count > 0 && note) note(fmt::format("passed over {} {} in `{}`, first `{}`", count, what, from, first));
  }
};

/// A file of the disk, from its start.
class DiskFile final : public ByteStream {
 public:
  DiskFile(const fs::path& path, std::function<void(uint64_t)> progress)
      : path_(path), progress_(std::move(progress)), fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    if (!fd_.valid()) fail("open", errno);
  }

  size_t read(std::span<std::byte> buffer) override {
    ssize_t count = 0;
    do {
      count = ::read(fd_.get(), buffer.data(), buffer.size());
    } while (count < 0 && errno == EINTR);
    if (count < 0) fail("read", errno);
    done_bytes_ += static_cast<uint64_t>(count);
    progress_(done_bytes_);
    return static_cast<size_t>(count);
  }

  uint64_t done_bytes() const { return done_bytes_; }

 private:
  [[noreturn]] void fail(const char* action, int error_number) const {
    throw DataError(fmt::format("cannot {} `{}`: {}", action, printable(path_.string()),
                                std::generic_category().message(error_number)),
                    "look at the file's permissions, or at the disk");
  }

  fs::path path_;
  std::function<void(uint64_t)> progress_;
  io::FileDescriptor fd_;
  uint64_t done_bytes_ = 0;
};

/// The member that an archive is at; tells how far the archive has been read.
class MemberStream final : public ByteStream {
 public:
  MemberStream(ArchiveFile& archive, std::function<void()> progress)
      : archive_(archive), progress_(std::move(progress)) {}

  size_t read(std::span<std::byte> buffer) override {
    const size_t count = archive_.read(buffer);
    progress_();
    return count;
  }

 private:
  ArchiveFile& archive_;
  std::function<void()> progress_;
};

/// Whether `inner` is `outer` with one more `lra_release/` in it.
bool is_inner_copy(const std::string& inner, const std::string& outer) {
  constexpr std::string_view kFolder = "lra_release/";
  for (size_t at = inner.find(kFolder); at != std::string::npos; at = inner.find(kFolder, at + 1)) {
    if ((at == 0 || inner[at - 1] == '/') && inner.substr(0, at) + inner.substr(at + kFolder.size()) == outer) {
      return true;
    }
  }
  return false;
}

}  // namespace

TreePattern files_pattern(std::string what, std::vector<std::string> names) {
  TreePattern pattern;
  pattern.what = std::move(what);
  pattern.root_bytes = [names](std::string_view path) -> std::optional<size_t> {
    for (const std::string& name : names) {
      if (!path.ends_with(name)) continue;
      const size_t root = path.size() - name.size();
      if (root == 0 || path[root - 1] == '/') return root;
    }
    return std::nullopt;
  };
  pattern.required = std::move(names);
  return pattern;
}

std::string name_of(const fs::path& from) { return printable((from / "").parent_path().filename().string()); }

Source::Source(fs::path from, NoteFn note, ProgressFn progress, int reads)
    : from_(std::move(from)), note_(std::move(note)), progress_(std::move(progress)), reads_(reads) {
  std::error_code error;
  const fs::file_status status = fs::status(from_, error);
  if (!fs::exists(status)) {
    throw DataError(fmt::format("`{}` does not exist", from_.string()),
                    "give --from the directory or the archive that holds the data");
  }
  if (!fs::is_directory(status) && !fs::is_regular_file(status)) {
    throw DataError(fmt::format("`{}` is neither a directory nor a regular file", from_.string()),
                    "save it as a file first: data are read more than once");
  }
  kind_ = fs::is_directory(status) ? Kind::kDirectory : is_archive(from_) ? Kind::kArchive : Kind::kFile;
}

std::string Source::shown_path(const std::string& path) const {
  switch (kind_) {
    case Kind::kDirectory:
      return printable((from_ / path).string());
    case Kind::kArchive:
      return fmt::format("{}: {}", from_.string(), printable(path));
    case Kind::kFile:
      return from_.string();
  }
  LRA_CHECK(false, "unknown Kind");
}

std::string Source::shown(const SourceTree& tree, size_t file) const {
  return shown_path(tree.root + tree.files[file]);
}

/// Of this pass over `bytes`, the next after passes_done_.
void Source::report(uint64_t done_bytes, uint64_t bytes, int passes) const {
  if (!progress_) return;
  const uint64_t total_bytes = bytes * static_cast<uint64_t>(passes);
  const uint64_t earlier_bytes = bytes * static_cast<uint64_t>(passes_done_);
  progress_(std::min(earlier_bytes + std::min(done_bytes, bytes), total_bytes), total_bytes);
}

void Source::find_in_directory(const TreePattern& pattern, const Found& found) const {
  constexpr int64_t kEntriesBetweenReports = 1024;
  PassedOver links;
  PassedOver unusable;
  const size_t from_bytes = (from_ / "").string().size();
  std::string last = from_.string();
  try {
    int64_t entries = 0;
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(from_)) {
      if (++entries % kEntriesBetweenReports == 0) report(0, 0, 0);
      last = entry.path().string();
      const std::string path = last.substr(from_bytes);
      const bool is_wanted = pattern.root_bytes(path).has_value();
      if (entry.is_symlink()) {
        if (is_wanted || entry.is_directory()) links.add(path);
      } else if (is_wanted && entry.is_regular_file()) {
        found(path);
      } else if (is_wanted && !entry.is_directory()) {
        links.add(path);
      } else if (pattern.is_unusable && pattern.is_unusable(path) && entry.is_regular_file()) {
        unusable.add(path);
      }
    }
  } catch (const fs::filesystem_error& error) {
    throw DataError(fmt::format("cannot look through `{}`: {}", printable(last), error.code().message()),
                    fmt::format("look at its permissions: ls -ld {}", shell_quoted(printable(last))));
  }
  links.tell(note_, from_.string(), "links and special files");
  unusable.tell(note_, from_.string(), pattern.unusable);
}

void Source::find_in_archive(const TreePattern& pattern, const Found& found) const {
  const uint64_t archive_bytes = fs::file_size(from_);
  ArchiveFile archive(from_);
  PassedOver links;
  PassedOver unusable;
  PassedOver unsafe;
  while (archive.next()) {
    report(archive.position_bytes(), archive_bytes, 1 + reads_);
    const ArchiveMember& member = archive.member();
    if (!pattern.root_bytes(member.path)) {
      if (member.is_regular && pattern.is_unusable && pattern.is_unusable(member.path)) unusable.add(member.path);
      continue;
    }
    if (!member.is_safe) {
      unsafe.add(member.path);
    } else if (member.is_regular) {
      found(member.path);
    } else if (!member.path.ends_with('/')) {
      links.add(member.path);
    }
  }
  ++passes_done_;
  links.tell(note_, from_.string(), "links and special files");
  unusable.tell(note_, from_.string(), pattern.unusable);
  unsafe.tell(note_, from_.string(), "names that are absolute, lead out of the archive or are too long");
}

SourceTree Source::find(const TreePattern& pattern) const {
  std::map<std::string, std::vector<std::string>> trees;  // by root
  size_t files = 0;
  size_t names_bytes = 0;
  const auto found = [&](const std::string& path) {
    const size_t root_bytes = *pattern.root_bytes(path);
    trees[path.substr(0, root_bytes)].push_back(path.substr(root_bytes));
    names_bytes += path.size();
    if (++files <= kMaxFiles && names_bytes <= kMaxNamesBytes) return;
    throw DataError(fmt::format("`{}` holds more than {} files of {}", from_.string(), files - 1, pattern.what),
                    "give --from a directory or an archive with fewer");
  };
  if (kind_ == Kind::kDirectory) {
    find_in_directory(pattern, found);
  } else if (kind_ == Kind::kArchive) {
    find_in_archive(pattern, found);
  } else if (const std::string name = from_.filename().string(); pattern.root_bytes(name)) {
    found(name);
  }

  std::string lacking = fmt::format("`{}` does not hold {}", from_.string(), pattern.what);
  for (auto tree = trees.begin(); tree != trees.end();) {
    std::vector<std::string>& names = tree->second;
    std::sort(names.begin(), names.end());
    if (const auto twice = std::adjacent_find(names.begin(), names.end()); twice != names.end()) {
      throw DataError(fmt::format("`{}` holds `{}` twice", from_.string(), printable(tree->first + *twice)),
                      "unpack the archive and give --from the directory");
    }
    std::vector<std::string> missing;
    for (const std::string& name : pattern.required) {
      if (!std::binary_search(names.begin(), names.end(), name)) missing.push_back(name);
    }
    if (missing.empty()) {
      ++tree;
      continue;
    }
    lacking = fmt::format("`{}` lacks {}", shown_path(tree->first), fmt::join(missing, " "));
    tree = trees.erase(tree);
  }
  if (trees.empty()) {
    throw DataError(lacking, "give --from the directory or the archive that holds them, unpacked or as downloaded");
  }
  auto chosen = trees.begin();
  for (auto tree = std::next(chosen); tree != trees.end(); ++tree) {
    const bool is_inner = is_inner_copy(tree->first, chosen->first);
    if (!is_inner && !is_inner_copy(chosen->first, tree->first)) {
      throw DataError(fmt::format("`{}` holds {} more than once: in `{}` and in `{}`", from_.string(), pattern.what,
                                  printable(chosen->first), printable(tree->first)),
                      "give --from one of them");
    }
    const auto outer = is_inner ? chosen : tree;
    if (is_inner) chosen = tree;
    if (note_) {
      note_(fmt::format("the release holds two copies: `{}` is read, the older `{}` is not", shown_path(chosen->first),
                        shown_path(outer->first)));
    }
  }
  return {chosen->first, std::move(chosen->second)};
}

void Source::read(const SourceTree& tree, const std::function<void(size_t, ByteStream&)>& visit) const {
  if (kind_ == Kind::kArchive) {
    read_archive(tree, visit);
  } else {
    read_directory(tree, visit);
  }
}

void Source::read_directory(const SourceTree& tree, const std::function<void(size_t, ByteStream&)>& visit) const {
  const auto path_of = [&](const std::string& file) {
    return kind_ == Kind::kFile ? from_ : from_ / (tree.root + file);
  };
  uint64_t total_bytes = 0;
  std::error_code error;
  for (const std::string& file : tree.files) {
    const uint64_t bytes = fs::file_size(path_of(file), error);
    if (!error) total_bytes += bytes;
  }
  uint64_t earlier_bytes = 0;
  for (size_t i = 0; i < tree.files.size(); ++i) {
    DiskFile file(path_of(tree.files[i]), [&](uint64_t bytes) { report(earlier_bytes + bytes, total_bytes, reads_); });
    visit(i, file);
    earlier_bytes += file.done_bytes();
  }
  report(total_bytes, total_bytes, reads_);
  ++passes_done_;
}

void Source::read_archive(const SourceTree& tree, const std::function<void(size_t, ByteStream&)>& visit) const {
  const uint64_t archive_bytes = fs::file_size(from_);
  ArchiveFile archive(from_);
  const auto report_position = [&] { report(archive.position_bytes(), archive_bytes, 1 + reads_); };
  size_t visited = 0;
  while (visited < tree.files.size() && archive.next()) {
    report_position();
    const std::string& path = archive.member().path;
    if (!archive.member().is_regular || !path.starts_with(tree.root)) continue;
    const auto file = std::lower_bound(tree.files.begin(), tree.files.end(), path.substr(tree.root.size()));
    if (file == tree.files.end() || *file != path.substr(tree.root.size())) continue;
    MemberStream bytes(archive, report_position);
    visit(static_cast<size_t>(file - tree.files.begin()), bytes);
    ++visited;
  }
  if (visited < tree.files.size()) {
    throw DataError(fmt::format("`{}` changed while it was read", from_.string()), "start the import again");
  }
  report(archive_bytes, archive_bytes, 1 + reads_);
  ++passes_done_;
}

}  // namespace lra::tasks
