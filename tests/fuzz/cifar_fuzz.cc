// The binary files of CIFAR-10.
#include "tasks/image/cifar.h"
#include "tests/fuzz/fuzzing.h"

using namespace lra;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  tasks::MemoryStream bytes({reinterpret_cast<const char*>(data), size});
  size_t records = 0;
  const bool is_accepted = fuzzing::accepts_or_refuses([&] {
    tasks::image::read_batch(bytes, "input", tasks::Grayscale::kTf,
                             [&](uint64_t index, std::span<const uint8_t, tasks::image::kPixels>, int label) {
                               fuzzing::require(index == records, "a record that was passed over");
                               fuzzing::require(label >= 0 && label < tasks::image::kClasses, "a label that is none");
                               ++records;
                             });
  });
  fuzzing::require(!is_accepted || records * tasks::image::kRecordBytes == size, "bytes that belong to no record");
  return 0;
}
