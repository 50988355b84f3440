#include "harness/fetch/fetch.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "engine/errors.h"
#include "engine/io/directory_lock.h"
#include "engine/io/file.h"
#include "harness/fetch/part_file.h"
#include "tasks/location.h"
#include "tasks/registry.h"

namespace lra::harness {
namespace fs = std::filesystem;

namespace {

using tasks::PublishedFile;

constexpr uint64_t kMostRecordBytes = 4096;

std::string fetch_command(const std::string& task, const fs::path& data_dir) {
  return fmt::format("lra data fetch {} --data {}", task, tasks::shell_quoted(data_dir));
}

std::string generate_command(const std::string& task, const fs::path& data_dir) {
  return fmt::format("lra data generate {} --data {}", task, tasks::shell_quoted(data_dir));
}

std::string import_command(const std::string& task, const fs::path& from, const fs::path& data_dir) {
  return fmt::format("lra data import {} --from {} --data {}", task, tasks::shell_quoted(from),
                     tasks::shell_quoted(data_dir));
}

bool can_generate(const std::string& task) { return tasks::task_named(task).facts().supports_generate; }

/// Throws: UsageError for a task that has none.
std::vector<PublishedFile> files_of(const std::string& task, const fs::path& data_dir) {
  std::vector<PublishedFile> files = tasks::published_files(task);
  if (files.empty()) {
    throw UsageError(
        fmt::format("no official files are published for the task `{}`", task),
        can_generate(task) ? generate_command(task, data_dir) : fmt::format("lra data import {} --from PATH", task));
  }
  return files;
}

void check_options(const std::string& task, const FetchOptions& options, size_t files) {
  if (!options.url.empty() && !options.url.starts_with("http://") && !options.url.starts_with("https://")) {
    throw UsageError(fmt::format("--url {} is neither http:// nor https://", options.url),
                     "give an address such as https://example.org/lra_release.gz; a file that is on this machine is "
                     "read by `lra data import --from PATH`");
  }
  if (!options.sha256.empty() && !tasks::is_sha256(options.sha256)) {
    throw UsageError(fmt::format("--sha256 {} is not a SHA-256", options.sha256),
                     "give 64 hexadecimal digits (0-9, a-f), as sha256sum prints them");
  }
  if (files > 1 && (!options.url.empty() || !options.sha256.empty())) {
    throw UsageError(fmt::format("--url and --sha256 are for one file; `{}` has {}", task, files),
                     "fetch without them, or download by hand and import with --from");
  }
}

/// The hash that an earlier fetch recorded beside a file, as sha256sum writes it.
class HashRecord {
 public:
  explicit HashRecord(const fs::path& file) : file_(file), path_(file.string() + ".sha256") {}

  std::optional<std::string> read() const {
    std::error_code error;
    if (!fs::exists(path_, error)) return std::nullopt;
    const std::string text = io::read_text_file(path_, kMostRecordBytes);
    std::string sha256 = text.substr(0, text.find(' '));
    if (!tasks::is_sha256(sha256)) {
      throw DataError(fmt::format("`{}` does not begin with a SHA-256", path_.string()),
                      fmt::format("remove it, and the file is taken as it is: rm {}", tasks::shell_quoted(path_)));
    }
    return sha256;
  }
  void write(const std::string& sha256) const {
    io::write_file_atomically(path_, fmt::format("{}  {}\n", sha256, file_.filename().string()));
  }
  const fs::path& path() const { return path_; }

 private:
  fs::path file_;
  fs::path path_;
};

/// One file of a task on its way.
class Fetch {
 public:
  Fetch(const PublishedFile& file, const std::string& task, const fs::path& data_dir, const FetchOptions& options,
        const DownloadEvents& events)
      : file_(file),
        task_(task),
        data_dir_(data_dir),
        options_(options),
        events_(events),
        target_(downloads_directory(data_dir) / file.name),
        record_(target_) {
    if (!options.sha256.empty()) {
      sha256_ = options.sha256;
    } else if (file.sha256) {
      sha256_ = file.sha256;
    } else {
      sha256_ = record_.read();
      is_recorded_ = sha256_.has_value();
    }
  }

  FetchedFile run() {
    const io::DirectoryLock lock(target_.parent_path(), fmt::format("the download `{}`", file_.name),
                                 fmt::format(".{}.lock", file_.name));
    io::remove_stale_temporaries(target_.parent_path());
    std::error_code error;
    FetchedFile fetched = fs::exists(target_, error) ? compare() : get();
    fetched.name = file_.name;
    fetched.path = target_;
    fetched.is_published_sha256 = file_.sha256 == fetched.sha256;
    if (record_.read() != fetched.sha256) record_.write(fetched.sha256);
    return fetched;
  }

 private:
  FetchedFile compare() const {
    const std::string found = io::sha256_file(target_, events_.verifying);
    if (sha256_ && found != *sha256_) {
      throw DataError(fmt::format("`{}` is there with SHA-256 {}, expected {} ({})", target_.string(), found, *sha256_,
                                  origin_of_hash()),
                      fmt::format("remove it and fetch again: rm {} && {}", tasks::shell_quoted(target_),
                                  fetch_command(task_, data_dir_)));
    }
    return {.bytes = fs::file_size(target_), .sha256 = found};
  }

  FetchedFile get() const {
    announce();
    check_disk();
    const Wanted wanted{.urls = options_.url.empty() ? file_.urls : std::vector{options_.url},
                        .target = target_,
                        .size_bytes = options_.sha256.empty() ? file_.size_bytes : std::nullopt,
                        .sha256 = sha256_,
                        .advice = advice(),
                        .is_archive = true,
                        .least_bytes = options_.url.empty() ? file_.likely_bytes() / 2 : 0};  // rounded, not halved
    const Downloaded done = download(wanted, options_.download, events_);
    return {.bytes = done.bytes, .sha256 = done.sha256, .url = done.url};
  }

  /// What a person should know before the first byte.
  void announce() const {
    const std::string size = file_.size_bytes    ? bytes_text(*file_.size_bytes)
                             : file_.about_bytes ? fmt::format("about {}", bytes_text(*file_.about_bytes))
                                                 : "of unknown size";
    events_.note(fmt::format("{}: {}, to {}", file_.name, size, target_.parent_path().string()));
    events_.note(fmt::format("  licence: {}", file_.licence));
    events_.note(fmt::format("  cite: {}", file_.citation));
    events_.note(fmt::format("  note: {}", file_.note));
    events_.note(sha256_ ? fmt::format("  SHA-256 expected: {} ({})", *sha256_, origin_of_hash())
                         : fmt::format("  SHA-256: none is published; the one that comes is recorded in {}",
                                       record_.path().filename().string()));
  }

  void check_disk() const {
    std::error_code error;
    const uint64_t part_bytes = fs::file_size(PartFile::path_of(target_), error);
    const uint64_t there = error ? 0 : part_bytes;
    const uint64_t expected = options_.url.empty() ? file_.likely_bytes() : file_.size_bytes.value_or(0);
    const uint64_t needed = options_.sha256.empty() ? expected : 0;  // what the server says is checked when it does
    const uint64_t free_bytes = io::free_disk_bytes(target_);
    if (needed <= there || needed - there <= free_bytes) return;
    throw ResourceError(fmt::format("`{}` takes {} more bytes; `{}` has {} free", file_.name, needed - there,
                                    target_.parent_path().string(), free_bytes),
                        "free some space, or choose a --data directory on another disk");
  }

  std::string origin_of_hash() const {
    if (!options_.sha256.empty()) return "given by --sha256";
    return is_recorded_ ? fmt::format("recorded in `{}`", record_.path().string()) : "published";
  }

  std::string advice() const {
    std::string advice = fmt::format(
        "check the network; the same command goes on from what came, if any was kept. Another address: {} --url URL",
        fetch_command(task_, data_dir_));
    if (is_recorded_) {
      advice +=
          fmt::format(". To accept another file than the one recorded: rm {}", tasks::shell_quoted(record_.path()));
    }
    if (can_generate(task_)) advice += ". Without any download: " + generate_command(task_, data_dir_);
    return advice;
  }

  const PublishedFile& file_;
  const std::string& task_;
  const fs::path& data_dir_;
  const FetchOptions& options_;
  const DownloadEvents& events_;
  fs::path target_;
  HashRecord record_;
  std::optional<std::string> sha256_;
  bool is_recorded_ = false;
};

}  // namespace

fs::path downloads_directory(const fs::path& data_dir) { return data_dir / "downloads"; }

std::vector<FetchedFile> fetch_task(const std::string& task, const fs::path& data_dir, const FetchOptions& options,
                                    const DownloadEvents& events) {
  const std::vector<PublishedFile> files = files_of(task, data_dir);
  check_options(task, options, files.size());
  io::create_directories(downloads_directory(data_dir));
  std::vector<FetchedFile> fetched;
  for (const PublishedFile& file : files) fetched.push_back(Fetch(file, task, data_dir, options, events).run());
  return fetched;
}

std::optional<fs::path> fetched_path(const std::string& task, const fs::path& data_dir) {
  const std::vector<PublishedFile> files = tasks::published_files(task);
  const fs::path directory = downloads_directory(data_dir);
  std::error_code error;
  const bool all_there = !files.empty() && std::all_of(files.begin(), files.end(), [&](const PublishedFile& file) {
    return fs::is_regular_file(directory / file.name, error);
  });
  if (!all_there) return std::nullopt;
  return files.size() == 1 ? directory / files.front().name : directory;
}

fs::path require_fetched(const std::string& task, const fs::path& data_dir) {
  if (const auto path = fetched_path(task, data_dir)) return *path;
  const std::string status = fetch_status(task, data_dir);
  throw UsageError(fmt::format("--from is not given{}", status.empty() ? "" : " and " + status),
                   fmt::format("{}", fmt::join(next_commands(task, data_dir), "   or   ")));
}

std::string fetch_status(const std::string& task, const fs::path& data_dir) {
  std::vector<std::string> clauses;
  for (const PublishedFile& file : tasks::published_files(task)) {
    const fs::path path = downloads_directory(data_dir) / file.name;
    std::error_code no_file, no_part;
    const uint64_t bytes = fs::file_size(path, no_file);
    const uint64_t part_bytes = fs::file_size(PartFile::path_of(path), no_part);
    if (!no_file) {
      clauses.push_back(fmt::format("`{}` is fetched ({})", path.string(), bytes_text(bytes)));
    } else if (!no_part && part_bytes > 0) {
      const std::string of = file.likely_bytes() > 0 ? fmt::format(" of {}{}", file.size_bytes ? "" : "about ",
                                                                   bytes_text(file.likely_bytes()))
                                                     : "";
      clauses.push_back(fmt::format("{}{} of `{}` are fetched", bytes_text(part_bytes), of, path.string()));
    } else {
      clauses.push_back(fmt::format("`{}` is not fetched", path.string()));
    }
  }
  return fmt::format("{}", fmt::join(clauses, ", "));
}

std::vector<std::string> next_commands(const std::string& task, const fs::path& data_dir) {
  if (const auto path = fetched_path(task, data_dir)) return {import_command(task, *path, data_dir)};
  std::vector<std::string> commands;
  if (can_generate(task)) commands.push_back(generate_command(task, data_dir));
  if (!tasks::published_files(task).empty()) commands.push_back(fetch_command(task, data_dir));
  if (commands.empty()) commands.push_back(import_command(task, "PATH", data_dir));
  return commands;
}

}  // namespace lra::harness
