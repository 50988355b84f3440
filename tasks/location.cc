#include "tasks/location.h"

#include <cstdlib>

#include "engine/errors.h"

namespace lra::tasks {
namespace {

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

}  // namespace

std::filesystem::path data_directory(const std::string& flag) {
  if (!flag.empty()) return flag;
  if (const std::string data = variable("LRA_DATA"); !data.empty()) return data;
  if (const std::string cache = variable("XDG_CACHE_HOME"); !cache.empty()) return std::filesystem::path(cache) / "lra";
  if (const std::string home = variable("HOME"); !home.empty()) return std::filesystem::path(home) / ".cache" / "lra";
  throw UsageError("no data directory: --data is not given and LRA_DATA, XDG_CACHE_HOME and HOME are not set",
                   "add --data DIR");
}

std::string shell_quoted(const std::filesystem::path& path) {
  std::string text = path.string();
  constexpr std::string_view kPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+=:,@%";
  if (!text.empty() && text.find_first_not_of(kPlain) == std::string::npos) return text;
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

}  // namespace lra::tasks
