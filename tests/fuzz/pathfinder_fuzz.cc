// Metadata of the official Pathfinder layout: text, or arrays of strings.
#include "tasks/pathfinder/metadata.h"

#include "tests/fuzz/fuzzing.h"

using namespace lra;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzzing::accepts_or_refuses([&] {
    size_t rows = 0;
    tasks::pathfinder::parse_metadata(std::as_bytes(std::span(data, size)), "input", [&](const auto& row) {
      fuzzing::require(++rows <= size, "more rows than bytes");
      fuzzing::require(row.label == 0 || row.label == 1, "a label that is neither 0 nor 1");
      fuzzing::require(row.path[0] != '/' && ("/" + row.path + "/").find("/../") == std::string::npos,
                       "a path that leaves its directory");
    });
  });
  return 0;
}
