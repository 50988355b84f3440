#include "tasks/image/cifar.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/errors.h"

namespace lra::tasks::image {
namespace {

const std::vector<std::string>& official_files() {
  static const std::vector<std::string> names{"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin",
                                              "data_batch_4.bin", "data_batch_5.bin", "test_batch.bin"};
  return names;
}

constexpr const char* kHint = "this is not a file of the binary version of CIFAR-10, or it is damaged: get it again";

/// Fills `buffer` unless the file ends; returns how many bytes it got.
size_t fill(ByteStream& bytes, std::span<std::byte> buffer) {
  size_t size = 0;
  while (size < buffer.size()) {
    const size_t count = bytes.read(buffer.subspan(size));
    if (count == 0) break;
    size += count;
  }
  return size;
}

}  // namespace

TreePattern cifar_pattern() {
  return files_pattern("the binary version of CIFAR-10 (data_batch_1.bin to data_batch_5.bin, test_batch.bin)",
                       official_files());
}

BatchPlace batch_place(const std::string& file) {
  const size_t batch = position_in(official_files(), file);
  return {batch + 1 == official_files().size() ? SplitName::kTest : SplitName::kTrain, batch};
}

void read_batch(ByteStream& bytes, const std::string& path, Grayscale how, const RecordFn& record,
                uint64_t earlier_records) {
  std::array<std::byte, kRecordBytes> buffer;
  std::array<uint8_t, kPixels> gray;
  uint64_t offset = earlier_records * kRecordBytes;
  for (size_t size = fill(bytes, buffer); size > 0; size = fill(bytes, buffer)) {
    if (size < buffer.size()) {
      throw DataError(
          fmt::format("`{}`: the record at byte {} has {} bytes, expected {}", path, offset, size, buffer.size()),
          kHint);
    }
    const auto label = std::to_integer<int>(buffer[0]);
    if (label >= kClasses) {
      throw DataError(fmt::format("`{}`: expected a label from 0 to 9 at byte {}, found {}", path, offset, label),
                      kHint);
    }
    for (size_t i = 0; i < gray.size(); ++i) {
      const auto plane = [&](size_t colour) { return std::to_integer<uint8_t>(buffer[1 + colour * kPixels + i]); };
      gray[i] = to_gray(how, plane(0), plane(1), plane(2));
    }
    record(offset / kRecordBytes, gray, label);
    offset += size;
  }
  if (offset == 0) throw DataError(fmt::format("`{}` is empty", path), kHint);
}

}  // namespace lra::tasks::image
