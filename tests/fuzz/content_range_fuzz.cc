// What a server says of the bytes that it sends: the header Content-Range.
#include "harness/fetch/http.h"
#include "tests/fuzz/fuzzing.h"

using namespace lra;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto range = harness::parse_content_range({reinterpret_cast<const char*>(data), size});
  if (!range) return 0;
  fuzzing::require(range->first || range->total_bytes, "a range that says nothing");
  fuzzing::require(!range->first || !range->total_bytes || *range->first < *range->total_bytes,
                   "bytes that begin after the last one");
  return 0;
}
