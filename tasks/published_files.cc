#include "tasks/published_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>

#include "engine/embedded.h"
#include "engine/errors.h"
#include "engine/io/json.h"

namespace lra::embedded {
std::span<const File> task_sources();
}  // namespace lra::embedded

namespace lra::tasks {
namespace {

using Json = nlohmann::json;

[[noreturn]] void refuse(const std::string& where, const std::string& problem) {
  throw DataError(fmt::format("{}: {}", where, problem),
                  R"(it is {"tasks": [...], "files": [{"name": ..., "urls": [...], "size_bytes": ..., ...}]})");
}

/// The keys of one JSON object: each is asked for once, and none may be left.
class Keys {
 public:
  Keys(const Json& object, std::string where) : object_(object), where_(std::move(where)) {
    if (!object.is_object()) refuse(where_, "it is not a JSON object");
    for (const auto& [key, value] : object.items()) left_.push_back(key);
  }

  /// Throws: DataError when the key is missing.
  const Json& at(const std::string& key) {
    if (!object_.contains(key)) refuse(where_, fmt::format("[{}] is missing", key));
    std::erase(left_, key);
    return object_.at(key);
  }
  std::string text(const std::string& key) {
    const Json& value = at(key);
    if (!value.is_string() || value.get_ref<const std::string&>().empty()) {
      refuse(where_, fmt::format("[{}] is not a text", key));
    }
    return value.get<std::string>();
  }
  std::vector<std::string> texts(const std::string& key) {
    const Json& value = at(key);
    const bool is_list = value.is_array() && !value.empty() &&
                         std::all_of(value.begin(), value.end(), [](const Json& item) { return item.is_string(); });
    if (!is_list) refuse(where_, fmt::format("[{}] is not a list of texts", key));
    return value.get<std::vector<std::string>>();
  }
  std::optional<uint64_t> bytes_or_null(const std::string& key) {
    const Json& value = at(key);
    if (value.is_null()) return std::nullopt;
    if (!value.is_number_unsigned() || value.get<uint64_t>() == 0) {
      refuse(where_, fmt::format("[{}] is neither a number of bytes nor null", key));
    }
    return value.get<uint64_t>();
  }
  bool has(const std::string& key) const { return object_.contains(key); }
  void require_none_left() const {
    if (!left_.empty()) refuse(where_, fmt::format("[{}] is not a key of it", left_.front()));
  }

 private:
  const Json& object_;
  std::string where_;
  std::vector<std::string> left_;
};

bool is_address(const std::string& url) { return url.starts_with("https://") || url.starts_with("http://"); }

/// A name is that of a file in the directory of downloads, never a path out of it.
std::string file_name(Keys& keys, const std::string& where) {
  std::string name = keys.text("name");
  if (name.find('/') != std::string::npos || name.starts_with('.')) {
    refuse(where, fmt::format("[name] `{}` is not the name of a file", name));
  }
  return name;
}

SourcesFile::Entry parse_entry(const Json& json, const std::string& where) {
  SourcesFile::Entry entry;
  Keys keys(json, where);
  PublishedFile& file = entry.file;
  file.name = file_name(keys, where);
  if (keys.has("described_in")) {
    entry.described_in = keys.text("described_in");
    keys.require_none_left();
    return entry;
  }
  file.urls = keys.texts("urls");
  for (const std::string& url : file.urls) {
    if (!is_address(url)) refuse(where, fmt::format("[urls] `{}` is neither http:// nor https://", url));
  }
  file.size_bytes = keys.bytes_or_null("size_bytes");
  file.about_bytes = keys.bytes_or_null("about_bytes");
  if (const Json& sha256 = keys.at("sha256"); !sha256.is_null()) {
    file.sha256 = keys.text("sha256");
    if (!is_sha256(*file.sha256)) refuse(where, fmt::format("[sha256] `{}` is not a SHA-256", *file.sha256));
  }
  file.licence = keys.text("licence");
  file.citation = keys.text("citation");
  file.note = keys.text("note");
  file.evidence = keys.text("evidence");
  keys.require_none_left();
  return entry;
}

/// "tasks/listops/sources.json" -> "listops".
std::string folder_of(std::string_view path) { return std::filesystem::path(path).parent_path().filename().string(); }

SourcesFile parse(const embedded::File& file) { return parse_sources(file.text, std::string(file.path)); }

bool is_named_by(std::string_view task, std::string_view pattern) {
  return pattern.ends_with('*') ? task.starts_with(pattern.substr(0, pattern.size() - 1)) : task == pattern;
}

PublishedFile described_elsewhere(const SourcesFile::Entry& entry, std::string_view asked_by) {
  for (const embedded::File& file : embedded::task_sources()) {
    if (folder_of(file.path) != entry.described_in) continue;
    for (SourcesFile::Entry& candidate : parse(file).files) {
      if (candidate.described_in.empty() && candidate.file.name == entry.file.name) return std::move(candidate.file);
    }
  }
  refuse(std::string(asked_by),
         fmt::format("[described_in] `{}` does not describe `{}`", entry.described_in, entry.file.name));
}

}  // namespace

bool is_sha256(std::string_view text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

SourcesFile parse_sources(std::string_view text, const std::string& where) {
  Json json;
  try {
    json = io::parse_json<Json>(text);
  } catch (const Json::exception& error) {
    refuse(where, error.what());
  }
  SourcesFile sources;
  Keys keys(json, where);
  sources.tasks = keys.texts("tasks");
  const Json& files = keys.at("files");
  if (!files.is_array() || files.empty()) refuse(where, "[files] is not a list of files");
  for (const Json& file : files) sources.files.push_back(parse_entry(file, where));
  keys.require_none_left();
  return sources;
}

std::vector<PublishedFile> published_files(std::string_view task) {
  std::vector<PublishedFile> files;
  for (const embedded::File& source : embedded::task_sources()) {
    SourcesFile sources = parse(source);
    const bool is_asked = std::any_of(sources.tasks.begin(), sources.tasks.end(),
                                      [&](const std::string& pattern) { return is_named_by(task, pattern); });
    if (!is_asked) continue;
    for (SourcesFile::Entry& entry : sources.files) {
      files.push_back(entry.described_in.empty() ? std::move(entry.file) : described_elsewhere(entry, source.path));
    }
  }
  return files;
}

}  // namespace lra::tasks
