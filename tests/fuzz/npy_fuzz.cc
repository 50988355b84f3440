// .npy arrays: header and data.
#include "engine/io/npy.h"

#include "engine/io/npy_header.h"
#include "tests/fuzz/fuzzing.h"

using namespace lra;

namespace {

/// Reads every element as the type that the header names.
template <class... Types>
void read_elements(const io::NpyArray& array) {
  const auto read_as = [&]<class T>(T sum) {
    if (array.type() != io::NpyTypeOf<T>::value) return;
    for (const T value : array.as<T>()) sum = value > sum ? value : sum;
    volatile T seen = sum;
    static_cast<void>(seen);
  };
  (read_as(Types{}), ...);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static fuzzing::InputFile file;
  file.write({data, size});
  fuzzing::accepts_or_refuses([&] {
    const io::NpyArray array(file.path());
    fuzzing::require(array.bytes().size() <= size, "more data than the file has");
    fuzzing::require(array.bytes().size() == static_cast<size_t>(array.elements()) * io::element_bytes(array.type()),
                     "data of another size than the elements");
    read_elements<uint8_t, uint16_t, uint32_t, uint64_t, int32_t, int64_t, float, double>(array);
    const std::string header = io::encode_npy_header(array.type(), array.shape());
    const io::NpyHeader again = io::parse_npy_header(std::as_bytes(std::span(header)), "again");
    fuzzing::require(again.type == array.type() && again.shape == array.shape(), "a header that is not read back");
  });
  return 0;
}
