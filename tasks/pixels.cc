#include "tasks/pixels.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>

#include "engine/errors.h"
#include "engine/io/file.h"
#include "tasks/png.h"

namespace lra::tasks {
namespace fs = std::filesystem;

namespace {

/// A directory under a temporary name, removed unless it was published.
class Draft {
 public:
  explicit Draft(const fs::path& directory)
      : path_(directory.parent_path() / ("." + directory.filename().string() + ".tmp")) {
    std::error_code error;
    fs::remove_all(path_, error);
    io::create_directories(path_);
  }
  Draft(const Draft&) = delete;
  Draft& operator=(const Draft&) = delete;
  ~Draft() {
    std::error_code error;
    if (!path_.empty()) fs::remove_all(path_, error);
  }

  const fs::path& path() const { return path_; }

  void publish(const fs::path& directory) {
    const io::FileDescriptor fd(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd.valid() || ::syncfs(fd.get()) != 0) io::throw_system_error("sync", path_, errno);
    if (::rename(path_.c_str(), directory.c_str()) != 0) {
      io::throw_system_error("rename a directory to", directory, errno);
    }
    path_.clear();
    io::sync_directory(directory.parent_path());
  }

 private:
  fs::path path_;
};

/// Without syncing: that is done once for all images.
void write_plainly(const fs::path& path, std::span<const std::byte> bytes) {
  const io::FileDescriptor fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
  if (!fd.valid()) io::throw_system_error("write", path, errno);
  while (!bytes.empty()) {
    const ssize_t count = ::write(fd.get(), bytes.data(), bytes.size());
    if (count < 0 && errno != EINTR) io::throw_system_error("write", path, errno, bytes.size());
    bytes = bytes.subspan(static_cast<size_t>(std::max<ssize_t>(count, 0)));
  }
}

}  // namespace

std::vector<std::string> pixel_vocabulary() {
  std::vector<std::string> symbols;
  for (int value = 0; value <= UINT8_MAX; ++value) symbols.push_back(std::to_string(value));
  return symbols;
}

void export_gray_images(const Split& split, int height, int width, const fs::path& directory,
                        const ProgressFn& progress) {
  const fs::path target = fs::absolute(directory / "").parent_path();
  std::error_code error;
  if (fs::exists(target, error) && (!fs::is_directory(target, error) || !fs::is_empty(target, error))) {
    throw UsageError(fmt::format("`{}` exists and is not an empty directory", directory.string()),
                     "choose another --output, or remove what is there");
  }
  Draft draft(target);
  for (int64_t i = 0; i < split.size(); ++i) {
    const fs::path folder = draft.path() / std::to_string(split.label(i));
    io::create_directories(folder);
    write_plainly(folder / fmt::format("{:06}.png", i), encode_gray_png(split.tokens(i), height, width));
    if (progress) progress(static_cast<uint64_t>(i) + 1, static_cast<uint64_t>(split.size()));
  }
  draft.publish(target);
}

}  // namespace lra::tasks
