// Which examples of data without splits are for training, validation and testing: 80, 10 and 10 of 100.
#pragma once

#include <cstdint>

#include "tasks/philox_stream.h"
#include "tasks/split.h"

namespace lra::tasks {

inline constexpr int64_t kDefaultSplitSeed = 42;  // of `task.split_seed`

/// The split of example `index`, a pure function of it and the seed: of each ten examples in a row one is for
/// validation and another one for testing, drawn by the seed. So the splits are as mixed as the data, to within ten
/// examples.
inline SplitName seeded_split(uint64_t seed, uint64_t index) {
  constexpr uint64_t kTen = 10;
  PhiloxStream random(seed, StreamPurpose::kShuffle, index / kTen);
  const uint64_t validation = random.below(kTen);
  const uint64_t test = (validation + 1 + random.below(kTen - 1)) % kTen;
  const uint64_t place = index % kTen;
  return place == validation ? SplitName::kValidation : place == test ? SplitName::kTest : SplitName::kTrain;
}

}  // namespace lra::tasks
