// Archives that data are imported from (tar, compressed or not, and zip).
#include "tasks/source.h"
#include "tests/fuzz/fuzzing.h"

using namespace lra;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static fuzzing::InputFile file;
  file.write({data, size});
  constexpr uint64_t kMaxBytes = 1 << 20;
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
