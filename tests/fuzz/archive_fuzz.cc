// Archives that data are imported from (tar, compressed or not, and zip).
#include "tasks/source.h"
#include "tests/fuzz/fuzzing.h"

using namespace lra;

namespace {

/// The bytes that are left of a member, no more than `most`.
std::string rest_of(tasks::ArchiveFile& archive, size_t most) {
  std::string rest(most, '\0');
  size_t size = 0;
  for (size_t count = 1; count > 0 && size < most; size += count) {
    count = archive.read(std::as_writable_bytes(std::span(rest)).subspan(size));
  }
  rest.resize(size);
  return rest;
}

/// A reading that goes on in the middle of a member sees what the first one sees.
void require_same_from_everywhere(const std::filesystem::path& path) {
  constexpr int kMaxMembers = 8;  // entered; of each archive
  constexpr size_t kMaxBytes = 5000;
  tasks::ArchiveFile archive(path);
  for (int i = 0; i < kMaxMembers && archive.next(); ++i) {
    if (!archive.member().is_regular) continue;
    const std::string begin = rest_of(archive, 3);
    const tasks::ArchivePosition position = archive.position(begin.size());
    const std::string rest = rest_of(archive, kMaxBytes);
    const bool is_entered = fuzzing::accepts_or_refuses([&] {
      tasks::ArchiveFile other(path, position);
      fuzzing::require(rest_of(other, kMaxBytes) == rest, "other bytes after a member was entered in the middle");
    });
    fuzzing::require(is_entered, "a member that can be read from its start only");
    if (rest.size() == kMaxBytes) return;
    tasks::ArchiveFile ahead(path, position);
    tasks::ArchiveFile behind(path, archive.position(begin.size() + rest.size()));
    const bool has_next = ahead.next();
    fuzzing::require(behind.next() == has_next, "another end after a member");
    fuzzing::require(!has_next || ahead.member().path == behind.member().path, "other members after a member");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static fuzzing::InputFile file;
  file.write({data, size});
  constexpr uint64_t kMaxBytes = 1 << 20;
  fuzzing::accepts_or_refuses([&] { require_same_from_everywhere(file.path()); });
  const tasks::TreePattern pattern{.what = "anything",
                                   .root_bytes = [](std::string_view) -> std::optional<size_t> { return size_t{0}; }};
  fuzzing::accepts_or_refuses([&] {
    const tasks::Source source(file.path());
    const tasks::SourceTree tree = source.find(pattern);
    size_t visited = 0;
    source.read(tree, [&](size_t i, tasks::ByteStream& bytes) {
      const std::string& path = tree.files.at(i);
      fuzzing::require(!path.empty() && path[0] != '/' && ("/" + path + "/").find("/../") == std::string::npos,
                       "a name that leads out of the archive");
      fuzzing::require(tasks::read_all(bytes, path, kMaxBytes).size() <= kMaxBytes, "more bytes than allowed");
      ++visited;
    });
    fuzzing::require(visited == tree.files.size(), "a file that was found but not read");
  });
  return 0;
}
