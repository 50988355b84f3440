// result.json, the record of a run.
#include "reports/record.h"

#include "harness/run_directory.h"
#include "tests/fuzz/fuzzing.h"

using namespace lra;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static fuzzing::InputFile file;
  file.write({data, size});
  fuzzing::accepts_or_refuses([&] {
    reports::ResultRecord record;
    try {
      record = reports::record_from_json(harness::read_json(file.path()));
    } catch (const reports::RecordError&) {
      return;  // the room's own error: callers add the file's name
    }
    const nlohmann::ordered_json json = reports::to_json(record);
    fuzzing::require(reports::to_json(reports::record_from_json(json)) == json, "a record that is not read back");
  });
  return 0;
}
