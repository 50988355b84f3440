// Rows of texts: the pairs of Retrieval, and users' labelled lines.
#include "tasks/custom/labelled_lines.h"
#include "tasks/retrieval/pairs.h"
#include "tests/fuzz/fuzzing.h"

using namespace lra;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static constexpr int64_t kMaxBytes = 50;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  fuzzing::accepts_or_refuses([&] {
    tasks::MemoryStream bytes(text);
    tasks::retrieval::read_pairs(
        bytes, "input", kMaxBytes, [](const tasks::retrieval::Pair& pair, const tasks::TsvReader&) {
          fuzzing::require(pair.label == 0 || pair.label == 1, "a label that is none");
          fuzzing::require(pair.first.size() <= kMaxBytes && pair.second.size() <= kMaxBytes, "too much is kept");
          fuzzing::require(pair.first.find_first_of("\t\n") == std::string_view::npos, "a document of two fields");
        });
  });
  fuzzing::accepts_or_refuses([&] {
    tasks::MemoryStream bytes(text);
    int64_t lines = 0;
    tasks::custom::read_labelled_lines(
        bytes, "input", kMaxBytes, [&](std::string_view label, std::string_view kept, const tasks::TsvReader& rows) {
          fuzzing::require(rows.line() == ++lines, "a line that was passed over");
          fuzzing::require(kept.size() <= kMaxBytes && rows.field_bytes(1) >= kept.size(), "too much is kept");
          fuzzing::require(label.find_first_of("\t\n") == std::string_view::npos, "a label of two fields");
        });
  });
  return 0;
}
