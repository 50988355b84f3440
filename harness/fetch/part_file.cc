#include "harness/fetch/part_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <nlohmann/json.hpp>

#include "engine/errors.h"
#include "engine/io/json.h"

namespace lra::harness {
namespace fs = std::filesystem;

namespace {

constexpr uint64_t kMostOriginBytes = 1 << 16;

fs::path with_suffix(const fs::path& target, const char* suffix) { return target.string() + suffix; }

}  // namespace

fs::path PartFile::path_of(const fs::path& target) { return with_suffix(target, ".part"); }

PartFile::PartFile(const fs::path& target)
    : target_(target), path_(path_of(target)), origin_path_(with_suffix(target, ".part.json")) {
  fd_ = io::FileDescriptor(::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666));
  if (!fd_.valid()) io::throw_system_error("write", path_, errno);
  struct stat status {};
  if (::fstat(fd_.get(), &status) != 0) io::throw_system_error("read", path_, errno);
  size_bytes_ = static_cast<uint64_t>(status.st_size);
  read_origin();
}

void PartFile::read_origin() {
  std::error_code error;
  if (size_bytes_ == 0 || !fs::exists(origin_path_, error)) return;
  try {
    const auto json = io::parse_json<nlohmann::json>(io::read_text_file(origin_path_, kMostOriginBytes));
    PartOrigin origin;
    origin.url = json.at("url").get<std::string>();
    origin.validator = json.at("validator").get<std::string>();
    if (!json.at("total_bytes").is_null()) origin.total_bytes = io::integer_at<uint64_t>(json, "total_bytes");
    origin_ = origin;
  } catch (const nlohmann::json::exception&) {  // a damaged note is no note
  } catch (const DataError&) {
  }
}

void PartFile::write_origin(const PartOrigin& origin) {
  nlohmann::ordered_json json = {{"url", origin.url}, {"validator", origin.validator}, {"total_bytes", nullptr}};
  if (origin.total_bytes) json["total_bytes"] = *origin.total_bytes;
  // A server's header need not be UTF-8.
  io::write_file_atomically(origin_path_, json.dump(2, ' ', true, nlohmann::json::error_handler_t::replace) + "\n");
  origin_ = origin;
}

void PartFile::restart(const PartOrigin& origin) {
  // In this order a kill in between leaves no bytes under a note that is not theirs.
  if (::ftruncate(fd_.get(), 0) != 0) io::throw_system_error("write", path_, errno);
  size_bytes_ = 0;
  write_origin(origin);
}

void PartFile::mark_mixed() {
  PartOrigin origin = origin_.value_or(PartOrigin{});
  origin.validator.clear();
  if (origin != origin_) write_origin(origin);
}

void PartFile::append(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(fd_.get(), bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      const int error_number = errno;
      const uint64_t missing = origin_ && origin_->total_bytes.value_or(0) > size_bytes_
                                   ? *origin_->total_bytes - size_bytes_
                                   : bytes.size();
      io::throw_system_error("write", path_, error_number, missing);
    }
    size_bytes_ += static_cast<uint64_t>(count);
    bytes = bytes.subspan(static_cast<size_t>(count));
  }
}

void PartFile::publish() {
  int result = 0;
  do {
    result = ::fsync(fd_.get());
  } while (result != 0 && errno == EINTR);
  if (result != 0 || ::rename(path_.c_str(), target_.c_str()) != 0) io::throw_system_error("write", target_, errno);
  fd_ = io::FileDescriptor();
  io::sync_directory(target_.has_parent_path() ? target_.parent_path() : fs::path("."));
  std::error_code error;
  fs::remove(origin_path_, error);
}

void PartFile::remove() {
  fd_ = io::FileDescriptor();
  std::error_code error;
  fs::remove(path_, error);
  fs::remove(origin_path_, error);
  size_bytes_ = 0;
  origin_.reset();
}

}  // namespace lra::harness
