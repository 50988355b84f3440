#include "tasks/source.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <system_error>
#include <utility>

#include "engine/errors.h"
#include "engine/io/file.h"
#include "engine/io/sha256.h"
#include "tasks/location.h"

namespace lra::tasks {
namespace fs = std::filesystem;

namespace {

// Together they bound the memory of a tree's names.
constexpr size_t kMaxFiles = 1'000'000;
constexpr size_t kMaxNamesBytes = size_t{100} << 20;

void tell(const PassedOver& passed, const NoteFn& note, const std::string& from, const char* what) {
  if (passed.count == 0 || !note) return;
  note(fmt::format("passed over {} {} in `{}`, first `{}`", passed.count, what, from, passed.first));
}

/// A file of the disk, from its start or from where an earlier reading was.
class DiskFile final : public SourceFile {
 public:
  DiskFile(const fs::path& path, size_t file, uint64_t begin_bytes, std::function<void(uint64_t)> progress)
      : path_(path),
        file_(file),
        progress_(std::move(progress)),
        fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)),
        done_bytes_(begin_bytes) {
    if (!fd_.valid()) fail("open", errno);
    if (begin_bytes > 0 && ::lseek(fd_.get(), static_cast<off_t>(begin_bytes), SEEK_SET) < 0) fail("read", errno);
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

  SourcePosition position(uint64_t file_bytes) const override {
    return {.files = file_, .file = file_, .file_bytes = file_bytes, .is_done = false, .archive = {}};
  }

  uint64_t done_bytes() const { return done_bytes_; }

 private:
  [[noreturn]] void fail(const char* action, int error_number) const {
    throw DataError(fmt::format("cannot {} `{}`: {}", action, printable(path_.string()),
                                std::generic_category().message(error_number)),
                    "look at the file's permissions, or at the disk");
  }

  fs::path path_;
  size_t file_;
  std::function<void(uint64_t)> progress_;
  io::FileDescriptor fd_;
  uint64_t done_bytes_ = 0;
};

/// The member that an archive is at; tells how far the archive has been read.
class MemberStream final : public SourceFile {
 public:
  MemberStream(ArchiveFile& archive, uint64_t files, size_t file, std::function<void()> progress)
      : archive_(archive), files_(files), file_(file), progress_(std::move(progress)) {}

  size_t read(std::span<std::byte> buffer) override {
    const size_t count = archive_.read(buffer);
    progress_();
    return count;
  }

  SourcePosition position(uint64_t file_bytes) const override {
    return {.files = files_,
            .file = file_,
            .file_bytes = file_bytes,
            .is_done = false,
            .archive = archive_.position(file_bytes)};
  }

 private:
  ArchiveFile& archive_;
  uint64_t files_;
  size_t file_;
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

std::string file_stamp(const fs::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return "";
  return fmt::format("{} {}.{:09}", status.st_size, status.st_mtim.tv_sec, status.st_mtim.tv_nsec);
}

void PassedOver::add(const std::string& path) {
  if (count++ == 0) first = printable(path);
}

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

size_t position_in(const std::vector<std::string>& names, const std::string& name) {
  const auto found = std::find(names.begin(), names.end(), name);
  LRA_CHECK(found != names.end(), name);
  return static_cast<size_t>(found - names.begin());
}

std::string name_of(const fs::path& from) { return printable((from / "").parent_path().filename().string()); }

Source::Source(fs::path from, NoteFn note, ProgressFn progress)
    : from_(std::move(from)), note_(std::move(note)), progress_(std::move(progress)) {
  std::error_code error;
  const fs::file_status status = fs::status(from_, error);
  if (!fs::exists(status)) {
    throw DataError(fmt::format("`{}` does not exist", from_.string()),
                    "give --from the directory or the archive that holds the data");
  }
  if (!fs::is_directory(status) && !fs::is_regular_file(status)) {
    throw DataError(
        fmt::format("`{}` is neither a directory nor a regular file", from_.string()),
        "save it as a file first: an archive is read twice, and an import that is stopped goes on in the middle");
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

std::string Source::fingerprint() const {
  std::error_code error;
  const fs::path whole = fs::weakly_canonical(from_, error);
  return fmt::format("{} {}", (error ? from_ : whole).string(), kind_ == Kind::kDirectory ? "" : file_stamp(from_));
}

std::string Source::fingerprint(const SourceTree& tree) const {
  io::Sha256 hash;
  hash.update(fingerprint());
  for (size_t file = 0; file < tree.files.size(); ++file) {
    const std::string stamp = kind_ == Kind::kDirectory ? file_stamp(path_of(tree, file)) : "";
    for (const std::string_view text : {std::string_view(tree.files[file]), std::string_view(stamp)}) {
      hash.update(text);
      hash.update(std::string_view("\0", 1));
    }
  }
  return hash.hex_digest();
}

void Source::report(uint64_t done_bytes, uint64_t total_bytes) const {
  if (progress_) progress_(std::min(done_bytes, total_bytes), total_bytes);
}

void Source::add_found(const TreePattern& pattern, SourceSearch& search, const std::string& path) const {
  if (search.found.size() == kMaxFiles || search.names_bytes + path.size() > kMaxNamesBytes) {
    throw DataError(
        fmt::format("`{}` holds more than {} files of {}", from_.string(), search.found.size(), pattern.what),
        "give --from a directory or an archive with fewer");
  }
  search.names_bytes += path.size();
  search.found.push_back(path);
}

void Source::search_directory(const TreePattern& pattern, SourceSearch& search) const {
  constexpr int64_t kEntriesBetweenReports = 1024;
  const size_t from_bytes = (from_ / "").string().size();
  std::string last = from_.string();
  try {
    int64_t entries = 0;
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(from_)) {
      if (++entries % kEntriesBetweenReports == 0) report(0, 0);
      last = entry.path().string();
      const std::string path = last.substr(from_bytes);
      const bool is_wanted = pattern.root_bytes(path).has_value();
      if (entry.is_symlink()) {
        if (is_wanted || entry.is_directory()) search.links.add(path);
      } else if (is_wanted && entry.is_regular_file()) {
        add_found(pattern, search, path);
      } else if (is_wanted && !entry.is_directory()) {
        search.links.add(path);
      } else if (pattern.is_unusable && pattern.is_unusable(path) && entry.is_regular_file()) {
        search.unusable.add(path);
      }
    }
  } catch (const fs::filesystem_error& error) {
    throw DataError(fmt::format("cannot look through `{}`: {}", printable(last), error.code().message()),
                    fmt::format("look at its permissions: ls -ld {}", shell_quoted(printable(last))));
  }
}

void Source::search_archive(const TreePattern& pattern, SourceSearch& search, const Searched& searched) const {
  const uint64_t archive_bytes = fs::file_size(from_);
  ArchiveFile archive(from_, search.position);
  while (archive.next()) {
    report(archive.position_bytes(), 2 * archive_bytes);
    const ArchiveMember& member = archive.member();
    if (!pattern.root_bytes(member.path)) {
      if (member.is_regular && pattern.is_unusable && pattern.is_unusable(member.path)) {
        search.unusable.add(member.path);
      }
    } else if (!member.is_safe) {
      search.unsafe.add(member.path);
    } else if (member.is_regular) {
      add_found(pattern, search, member.path);
    } else if (!member.path.ends_with('/')) {
      search.links.add(member.path);
    }
    if (searched && member.is_regular) searched(search, archive);
  }
  search.is_complete = true;
  if (searched) searched(search, archive);
}

SourceTree Source::find(const TreePattern& pattern, SourceSearch search, const Searched& searched) const {
  if (kind_ == Kind::kDirectory) {
    search = {};
    search_directory(pattern, search);
  } else if (kind_ == Kind::kArchive) {
    if (!search.is_complete) search_archive(pattern, search, searched);
  } else if (const std::string name = from_.filename().string(); pattern.root_bytes(name)) {
    search.found = {name};
  }
  tell(search.links, note_, from_.string(), "links and special files");
  tell(search.unusable, note_, from_.string(), pattern.unusable);
  tell(search.unsafe, note_, from_.string(), "names that are absolute, lead out of the archive or are too long");
  return choose(pattern, std::move(search.found));
}

/// The tree that is meant, of all to which a file belongs.
SourceTree Source::choose(const TreePattern& pattern, std::vector<std::string> found) const {
  std::map<std::string, std::vector<std::string>> trees;  // by root
  for (std::string& entry : found) {
    const std::string path = std::move(entry);
    const size_t root_bytes = pattern.root_bytes(path).value();
    trees[path.substr(0, root_bytes)].push_back(path.substr(root_bytes));
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

void Source::read(const SourceTree& tree, const Visit& visit, const std::optional<SourcePosition>& from) const {
  if (kind_ == Kind::kArchive) {
    read_archive(tree, visit, from);
  } else {
    read_directory(tree, visit, from);
  }
}

fs::path Source::path_of(const SourceTree& tree, size_t file) const {
  return kind_ == Kind::kFile ? from_ : from_ / (tree.root + tree.files[file]);
}

void Source::read_directory(const SourceTree& tree, const Visit& visit,
                            const std::optional<SourcePosition>& from) const {
  const size_t first = from ? from->file + (from->is_done ? 1 : 0) : 0;
  uint64_t total_bytes = 0;
  uint64_t earlier_bytes = 0;
  std::error_code error;
  for (size_t i = 0; i < tree.files.size(); ++i) {
    if (i == first) earlier_bytes = total_bytes;
    const uint64_t bytes = fs::file_size(path_of(tree, i), error);
    if (!error) total_bytes += bytes;
  }
  for (size_t i = first; i < tree.files.size(); ++i) {
    const uint64_t begin_bytes = from && !from->is_done && i == first ? from->file_bytes : 0;
    DiskFile file(path_of(tree, i), i, begin_bytes,
                  [&](uint64_t bytes) { report(earlier_bytes + bytes, total_bytes); });
    visit(i, file);
    earlier_bytes += file.done_bytes();
  }
  report(total_bytes, total_bytes);
}

void Source::read_archive(const SourceTree& tree, const Visit& visit, const std::optional<SourcePosition>& from) const {
  const uint64_t archive_bytes = fs::file_size(from_);
  ArchiveFile archive(from_, from && from->archive ? *from->archive : ArchivePosition());
  const auto report_position = [&] { report(archive_bytes + archive.position_bytes(), 2 * archive_bytes); };
  uint64_t visited = from ? from->files : 0;
  const auto visit_file = [&](size_t file) {
    MemberStream bytes(archive, visited, file, report_position);
    visit(file, bytes);
    ++visited;
  };
  if (from && !from->is_done) visit_file(from->file);
  if (from && from->is_done) ++visited;
  while (visited < tree.files.size() && archive.next()) {
    report_position();
    const std::string& path = archive.member().path;
    if (!archive.member().is_regular || !path.starts_with(tree.root)) continue;
    const auto file = std::lower_bound(tree.files.begin(), tree.files.end(), path.substr(tree.root.size()));
    if (file == tree.files.end() || *file != path.substr(tree.root.size())) continue;
    visit_file(static_cast<size_t>(file - tree.files.begin()));
  }
  if (visited < tree.files.size()) {
    throw DataError(fmt::format("`{}` changed while it was read", from_.string()), "start the import again");
  }
  report(2 * archive_bytes, 2 * archive_bytes);
}

}  // namespace lra::tasks
