// The official ListOps files (TSV).
#include <algorithm>

#include "tasks/listops/expression.h"
#include "tasks/listops/loader.h"
#include "tests/fuzz/fuzzing.h"

using namespace lra;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  tasks::MemoryStream bytes({reinterpret_cast<const char*>(data), size});
  static constexpr int64_t kMaxLength = 100;
  fuzzing::accepts_or_refuses([&] {
    tasks::listops::read_official_file(
        bytes, "input", kMaxLength, [](std::span<const uint8_t> tokens, int target, const tasks::TsvReader&) {
          fuzzing::require(target >= 0 && target <= 9, "a target that is no digit");
          fuzzing::require(!tokens.empty() && tokens.size() < kMaxLength, "a length outside the limits");
          std::vector<uint8_t> again;
          std::vector<uint32_t> positions;
          const auto fault = tasks::listops::tokenize(tasks::listops::official_text(tokens), again, positions);
          fuzzing::require(!fault && std::ranges::equal(again, tokens), "an expression that is not read back");
        });
  });
  return 0;
}
