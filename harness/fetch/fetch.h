// Fetches the official files of a task into `DIR/downloads/`, and knows what of them is there.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "harness/fetch/download.h"
#include "tasks/published_files.h"

namespace lra::harness {

struct FetchOptions {
  std::string url = {};     // instead of the published addresses
  std::string sha256 = {};  // instead of the published hash; then the published size is not expected either
  DownloadOptions download = {};
};

struct FetchedFile {
  std::string name;
  std::filesystem::path path;
  uint64_t bytes = 0;
  std::string sha256;
  bool is_published_sha256 = false;  // else the hash was given, recorded by an earlier fetch, or is recorded first here
  std::string url;                   // empty: the file was there
};

/// `data_dir/downloads`.
std::filesystem::path downloads_directory(const std::filesystem::path& data_dir);

/// Fetches what is missing of the task's files and compares all of them with their hash: the one that is published or
/// given, else the one of `NAME.sha256` beside the file, which the first fetch writes (`sha256sum --check` reads it).
/// Throws: UsageError for a task without published files, an address that is not http:// or https://, a malformed
/// hash, or an address or a hash for several files; DataError; ResourceError, also when another process fetches the
/// same file.
std::vector<FetchedFile> fetch_task(const std::string& task, const std::filesystem::path& data_dir,
                                    const FetchOptions& options, const DownloadEvents& events);

/// What `lra data import` reads when it is not told: the task's file, the directory of downloads where there are
/// several. Not set until all of them are complete.
std::optional<std::filesystem::path> fetched_path(const std::string& task, const std::filesystem::path& data_dir);

/// fetched_path(). Throws: UsageError that says how to get there.
std::filesystem::path require_fetched(const std::string& task, const std::filesystem::path& data_dir);

/// One clause a file, such as "`lra_release.gz` is fetched (7.66 GiB)"; "" for a task without published files.
std::string fetch_status(const std::string& task, const std::filesystem::path& data_dir);

/// The commands that lead to the dataset from here, the next one first.
std::vector<std::string> next_commands(const std::string& task, const std::filesystem::path& data_dir);

}  // namespace lra::harness
