// One directory a run: where it lies, its metrics.jsonl and its JSON files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "engine/io/file.h"

namespace lra::harness {

/// What names a run's directory.
struct RunKey {
  std::string task = {};
  std::string attention = {};
  std::int64_t sequence_length = 0;
  std::string config_hash = {};
  std::uint64_t seed = 0;
};

/// `out/<task>/<attention>/n<length>/<config hash>/seed<k>`. Throws UsageError when a name could leave `out`.
std::filesystem::path run_directory(const std::filesystem::path& out, const RunKey& key);

/// Writes `json`, indented, atomically. Non-finite numbers become null. Throws ResourceError.
void write_json(const std::filesystem::path& path, const nlohmann::ordered_json& json);

/// Throws DataError naming the file when it is missing or not JSON.
nlohmann::ordered_json read_json(const std::filesystem::path& path);

/// metrics.jsonl: one JSON object a line, `{"ts_ms": ..., "step": ..., "split": ..., key: value, ...}`, written through
/// with each event. `ts_ms` (milliseconds of Unix time) comes first and is the only key that differs between equal
/// runs.
///
/// A checkpoint keeps bytes(); a resumed run opens the log cut to that length, so that events after the checkpoint are
/// not there twice. Timestamps have as many digits in every run before the year 2286, so the length is the same too.
class MetricsLog {
 public:
  /// Opens `path` (made if need be) and cuts it to `keep_bytes`. Throws ResourceError; DataError when the file is
  /// shorter or `keep_bytes` does not end a line.
  explicit MetricsLog(const std::filesystem::path& path, std::uint64_t keep_bytes = 0);

  /// Appends one event. `values` is an object without the keys `ts_ms`, `step` and `split`. Throws ResourceError.
  void append(std::int64_t step, std::string_view split, const nlohmann::ordered_json& values);

  /// Makes everything appended durable: before a checkpoint that counts on it. Throws ResourceError.
  void sync();

  std::uint64_t bytes() const { return bytes_; }

 private:
  std::filesystem::path path_;
  io::FileDescriptor file_;
  std::uint64_t bytes_ = 0;
};

/// `line` of metrics.jsonl without its timestamp, for comparing runs. Throws DataError when it is not an event.
std::string without_timestamp(const std::string& line);

}  // namespace lra::harness
