#include "tasks/import_checkpoint.h"

#include <nlohmann/json.hpp>

#include "engine/io/hex.h"
#include "engine/io/json.h"
#include "engine/io/sha256.h"

namespace lra::tasks {
namespace {

using Json = nlohmann::ordered_json;
using io::integer_at;

constexpr size_t kDigestCharacters = 64;

Json json_of(const PassedOver& passed) { return {{"count", passed.count}, {"first", passed.first}}; }

PassedOver passed_over(const Json& json) {
  return {.count = integer_at<int64_t>(json, "count"), .first = json.at("first").get<std::string>()};
}

Json json_of(const GzipPoint& point) {
  return {{"compressed_bytes", point.compressed_bytes},
          {"shared_bits", point.shared_bits},
          {"expanded_bytes", point.expanded_bytes},
          {"member_bytes", point.member_bytes},
          {"member_crc", point.member_crc},
          {"window", io::to_hex(point.window)}};
}

GzipPoint gzip_point(const Json& json) {
  std::optional<std::string> window = io::from_hex(json.at("window").get<std::string>());
  if (!window) io::refuse_json<Json>("`window` is not hexadecimal");
  return {.compressed_bytes = integer_at<uint64_t>(json, "compressed_bytes"),
          .shared_bits = integer_at<int>(json, "shared_bits"),
          .expanded_bytes = integer_at<uint64_t>(json, "expanded_bytes"),
          .member_bytes = integer_at<uint64_t>(json, "member_bytes"),
          .member_crc = integer_at<uint32_t>(json, "member_crc"),
          .window = std::move(*window)};
}

Json json_of(const ArchivePosition& position) {
  Json json{{"members", position.members}, {"member_bytes", position.member_bytes}, {"in_gzip", nullptr}};
  if (!position.in_gzip) return json;
  json["in_gzip"] = {
      {"data_begin", position.in_gzip->data_begin}, {"data_bytes", position.in_gzip->data_bytes}, {"point", nullptr}};
  if (position.in_gzip->point) json["in_gzip"]["point"] = json_of(*position.in_gzip->point);
  return json;
}

ArchivePosition archive_position(const Json& json) {
  ArchivePosition position{.members = integer_at<uint64_t>(json, "members"),
                           .member_bytes = integer_at<uint64_t>(json, "member_bytes"),
                           .in_gzip = {}};
  const Json& in_gzip = json.at("in_gzip");
  if (in_gzip.is_null()) return position;
  position.in_gzip = {.data_begin = integer_at<uint64_t>(in_gzip, "data_begin"),
                      .data_bytes = integer_at<uint64_t>(in_gzip, "data_bytes"),
                      .point = {}};
  if (const Json& point = in_gzip.at("point"); !point.is_null()) position.in_gzip->point = gzip_point(point);
  return position;
}

Json json_of(const SourceSearch& search) {
  return {{"links", json_of(search.links)},
          {"unusable", json_of(search.unusable)},
          {"unsafe", json_of(search.unsafe)},
          {"position", json_of(search.position)},
          {"is_complete", search.is_complete}};
}

SourceSearch source_search(const Json& json) {
  SourceSearch search;
  search.links = passed_over(json.at("links"));
  search.unusable = passed_over(json.at("unusable"));
  search.unsafe = passed_over(json.at("unsafe"));
  search.position = archive_position(json.at("position"));
  search.is_complete = json.at("is_complete").get<bool>();
  return search;
}

Json json_of(const SourcePosition& position) {
  Json json{{"files", position.files},
            {"file", position.file},
            {"file_bytes", position.file_bytes},
            {"is_done", position.is_done},
            {"archive", nullptr}};
  if (position.archive) json["archive"] = json_of(*position.archive);
  return json;
}

SourcePosition source_position(const Json& json) {
  SourcePosition position{.files = integer_at<uint64_t>(json, "files"),
                          .file = integer_at<size_t>(json, "file"),
                          .file_bytes = integer_at<uint64_t>(json, "file_bytes"),
                          .is_done = json.at("is_done").get<bool>(),
                          .archive = {}};
  if (const Json& archive = json.at("archive"); !archive.is_null()) position.archive = archive_position(archive);
  return position;
}

}  // namespace

/// The JSON, and its hash in front of it: a part of a file is no checkpoint.
std::string checkpoint_text(const ImportCheckpoint& checkpoint) {
  Json json{{"identity", checkpoint.identity},
            {"search", json_of(checkpoint.search)},
            {"names_bytes", checkpoint.names_bytes},
            {"names_sha256", checkpoint.names_sha256},
            {"tree", checkpoint.tree},
            {"spool_bytes", checkpoint.spool.bytes},
            {"spool_examples", checkpoint.spool.examples},
            {"spool_entries_sha256", checkpoint.spool.entries_sha256},
            {"position", nullptr},
            {"piece_bytes", checkpoint.pieces.bytes},
            {"pieces", checkpoint.pieces.pieces},
            {"sha256_state", checkpoint.pieces.sha256_state},
            {"is_read", checkpoint.is_read},
            {"file_sha256", checkpoint.file_sha256}};
  if (checkpoint.position) json["position"] = json_of(*checkpoint.position);
  const std::string text = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  return io::sha256_hex(text) + "\n" + text;
}

std::optional<ImportCheckpoint> parse_checkpoint(std::string_view text) {
  if (text.size() <= kDigestCharacters) return std::nullopt;
  const std::string_view body = text.substr(kDigestCharacters + 1);
  if (io::sha256_hex(body) != text.substr(0, kDigestCharacters)) return std::nullopt;
  try {
    const Json json = io::parse_json<Json>(body);
    ImportCheckpoint checkpoint{.identity = json.at("identity").get<std::string>(),
                                .search = source_search(json.at("search")),
                                .names_bytes = integer_at<uint64_t>(json, "names_bytes"),
                                .names_sha256 = json.at("names_sha256").get<std::string>(),
                                .tree = json.at("tree").get<std::string>(),
                                .spool = {.bytes = integer_at<uint64_t>(json, "spool_bytes"),
                                          .examples = integer_at<uint64_t>(json, "spool_examples"),
                                          .entries_sha256 = json.at("spool_entries_sha256").get<std::string>()},
                                .position = {},
                                .pieces = {.bytes = integer_at<uint64_t>(json, "piece_bytes"),
                                           .pieces = integer_at<uint64_t>(json, "pieces"),
                                           .sha256_state = json.at("sha256_state").get<std::string>()},
                                .is_read = json.at("is_read").get<bool>(),
                                .file_sha256 = json.at("file_sha256").get<std::map<std::string, std::string>>()};
    if (const Json& position = json.at("position"); !position.is_null()) {
      checkpoint.position = source_position(position);
    }
    return checkpoint;
  } catch (const Json::exception&) {
    return std::nullopt;
  }
}

}  // namespace lra::tasks
