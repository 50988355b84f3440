// Safetensors files: length, header, data.
#include "engine/io/safetensors.h"

#include <algorithm>

#include "tests/fuzz/fuzzing.h"

using namespace lra;

namespace {

template <class... Types>
void read_values(const io::SafetensorsFile& file, const io::SafetensorsTensor& tensor) {
  const auto read_as = [&]<class T>(T) {
    if (tensor.type != io::SafetensorsTypeOf<T>::value) return;
    const std::vector<T> values = file.values<T>(tensor.name);
    fuzzing::require(std::ranges::equal(std::as_bytes(std::span(values)), tensor.data), "values are not the data");
  };
  (read_as(Types{}), ...);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static fuzzing::InputFile input;
  input.write({data, size});
  fuzzing::accepts_or_refuses([&] {
    const io::SafetensorsFile file(input.path());
    size_t bytes = 0;
    for (const io::SafetensorsTensor& tensor : file.tensors()) {
      bytes += tensor.data.size();
      read_values<float, double, int64_t, uint64_t, uint8_t>(file, tensor);
    }
    fuzzing::require(bytes < size, "tensors that overlap");
    static_cast<void>(fuzzing::accepts_or_refuses([&] { file.at("embedding.tokens.weight"); }));
  });
  return 0;
}
