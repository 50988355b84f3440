#include "harness/run_directory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <nlohmann/json.hpp>

#include "engine/errors.h"
#include "engine/io/json.h"

namespace lra::harness {
namespace {

using Json = nlohmann::ordered_json;

/// One path component: a registered name or a hash, never a way out of the directory.
void check_component(std::string_view what, const std::string& name) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
           c == '.';
  };
  if (name.empty() || name[0] == '.' || !std::all_of(name.begin(), name.end(), allowed)) {
    throw UsageError(fmt::format("[{}] `{}` cannot name a directory", what, name),
                     "use letters, digits, `_`, `-` and `.`");
  }
}

std::string dump(const Json& json, int indent) { return json.dump(indent, ' ', false, Json::error_handler_t::replace); }

}  // namespace

std::filesystem::path run_directory(const std::filesystem::path& out, const RunKey& key) {
  check_component("task", key.task);
  check_component("attention", key.attention);
  check_component("config hash", key.config_hash);
  return out / key.task / key.attention / fmt::format("n{}", key.sequence_length) / key.config_hash /
         fmt::format("seed{}", key.seed);
}

void write_json(const std::filesystem::path& path, const Json& json) {
  io::write_file_atomically(path, std::string_view(dump(json, 2) + "\n"));
}

Json read_json(const std::filesystem::path& path) {
  const std::string text = io::read_text_file(path);
  try {
    return io::parse_json<Json>(text);
  } catch (const Json::exception& error) {
    throw DataError(fmt::format("{}: not valid JSON: {}", path.string(), error.what()),
                    "the file was changed by hand or cut short; remove it and repeat the run with --force");
  }
}

MetricsLog::MetricsLog(const std::filesystem::path& path, std::uint64_t keep_bytes) : path_(path), bytes_(keep_bytes) {
  file_ = io::FileDescriptor(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
  if (!file_.valid()) io::throw_system_error("open", path, errno);
  struct stat status {};
  if (::fstat(file_.get(), &status) != 0) io::throw_system_error("inspect", path, errno);
  const auto offset = static_cast<off_t>(keep_bytes);
  if (offset < 0 || status.st_size < offset) {
    throw DataError(
        fmt::format("{}: {} bytes, but the checkpoint counts on {}", path.string(), status.st_size, keep_bytes),
        "the log was cut short; start the run again with --force");
  }
  char last = '\n';
  if (offset > 0 && ::pread(file_.get(), &last, 1, offset - 1) != 1) io::throw_system_error("read", path, errno);
  if (last != '\n') {
    throw DataError(fmt::format("{}: byte {} does not end a line", path.string(), keep_bytes),
                    "the log was changed; start the run again with --force");
  }
  if (::ftruncate(file_.get(), offset) != 0) io::throw_system_error("cut", path, errno);
  if (::lseek(file_.get(), offset, SEEK_SET) < 0) io::throw_system_error("seek in", path, errno);
}

void MetricsLog::append(std::int64_t step, std::string_view split, const Json& values) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  Json event = {
      {"ts_ms", std::chrono::duration_cast<std::chrono::milliseconds>(now).count()}, {"step", step}, {"split", split}};
  for (const auto& [key, value] : values.items()) {
    LRA_CHECK(!event.contains(key), "a metrics event repeats the key " + key);
    event[key] = value;
  }
  const std::string line = dump(event, -1) + "\n";
  io::write_all(file_, path_, std::as_bytes(std::span(line)));
  bytes_ += line.size();
}

void MetricsLog::sync() {
  if (::fdatasync(file_.get()) != 0) io::throw_system_error("sync", path_, errno);
}

std::string without_timestamp(const std::string& line) {
  Json event = Json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!event.is_object() || !event.contains("ts_ms")) {
    throw DataError(fmt::format("`{}` is not an event of metrics.jsonl", line.substr(0, 80)),
                    "compare files that `lra train` wrote");
  }
  event.erase("ts_ms");
  return event.dump();
}

}  // namespace lra::harness
