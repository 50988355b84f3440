// The binary files of CIFAR-10: records of 3,073 bytes, a label and the planes of red, green and blue.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>

#include "tasks/grayscale.h"
#include "tasks/source.h"
#include "tasks/split.h"

namespace lra::tasks::image {

inline constexpr int kSide = 32;
inline constexpr int kPixels = kSide * kSide;
inline constexpr int kClasses = 10;
inline constexpr int kRecordBytes = 1 + 3 * kPixels;

/// data_batch_1.bin to data_batch_5.bin and test_batch.bin, in one directory.
TreePattern cifar_pattern();

/// Where the records of an official file belong: its split, and which of the split's files it is.
struct BatchPlace {
  SplitName split = SplitName::kTrain;
  uint64_t batch = 0;
};
BatchPlace batch_place(const std::string& file);

/// Called for each record in order; `index` counts those of the file from 0.
using RecordFn = std::function<void(uint64_t index, std::span<const uint8_t, kPixels> gray, int label)>;

/// Reads one file; `path` names it in messages. Throws: DataError naming file and offset of an incomplete record or a
/// label above 9, and for a file without records. `bytes` begin after `earlier_records` of the file.
void read_batch(ByteStream& bytes, const std::string& path, Grayscale how, const RecordFn& record,
                uint64_t earlier_records = 0);

}  // namespace lra::tasks::image
