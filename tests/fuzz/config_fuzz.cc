// What configures a run: a preset (first byte 'p'), a file for --config ('c'), the config.json of a run ('r'), or one
// --set ('s'). The rest of the input is the file, or the assignment.
#include "harness/config.h"

#include "harness/model/model.h"
#include "harness/presets.h"
#include "harness/trained_run.h"
#include "tests/fuzz/fuzzing.h"

using namespace lra;

namespace {

std::string all_of(const harness::TrainConfig& config) {
  return harness::canonical_json(config, [](const harness::ConfigField&) { return true; });
}

void require_read_back(harness::TrainConfig config) {
  harness::complete_attention_parameters(config);
  harness::TrainConfig again;
  harness::set_object(again, harness::to_json(config), "again");
  fuzzing::require(all_of(again) == all_of(config), "a configuration that is not read back");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static fuzzing::InputFile file;
  static const fuzzing::InputDirectory run;
  static const bool linked = [] {
    std::filesystem::create_symlink(file.path(), run.path() / "config.json");
    return true;
  }();
  if (size == 0 || !linked) return 0;
  const std::span<const uint8_t> content(data + 1, size - 1);
  file.write(content);
  harness::ConfigRequest request{.task = "listops", .attention = "cosformer"};
  fuzzing::accepts_or_refuses([&] {
    switch (data[0]) {
      case 'p':
        request.preset = file.path().string();
        request.sequence_length = 100;
        return require_read_back(harness::resolve_config(request).config);
      case 'c':
        request.config_file = file.path();
        return require_read_back(harness::resolve_config(request).config);
      case 'r':
        return require_read_back(harness::config_of_run(run.path()));
      default:
        request.assignments = {std::string(content.begin(), content.end())};
        return require_read_back(harness::resolve_config(request).config);
    }
  });
  return 0;
}
