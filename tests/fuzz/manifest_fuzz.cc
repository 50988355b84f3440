// dataset.json, the manifest of a prepared dataset.
#include "tasks/manifest.h"
#include "tests/fuzz/fuzzing.h"

using namespace lra;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static fuzzing::InputFile file;
  file.write({data, size});
  fuzzing::accepts_or_refuses([&] {
    const std::string text = tasks::manifest_text(tasks::read_manifest(file.path()));
    file.write(text);
    fuzzing::require(tasks::manifest_text(tasks::read_manifest(file.path())) == text,
                     "a manifest that is not read back");
  });
  return 0;
}
