// The Pathfinder generator: two long dashed contours, shorter distractors, and two discs that mark either the ends of
// one contour (label 1) or one end of each (label 0).
//
// Source: drewlinsley/pathfinder at ab9c130 (snakes2 and snakes), as docs/pathfinder.md describes it. The random stream
// is ours: an image is a pure function of (seed, number).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "tasks/pathfinder/tables.h"
#include "tasks/philox_stream.h"

namespace lra::tasks::pathfinder {

/// What is known of an image besides its pixels.
struct Description {
  int label = 0;
  int margin = 0;                     // of its paddles
  int64_t attempts = 0;               // pairs of contours begun
  int64_t attempts_past_seeding = 0;  // of them, those of which both first paddles found room
  int distractors = 0;                // short snakes that found room
  int64_t distractor_tries = 0;
  int first_degree = 0;  // orientation of the first paddle of all, -180..179
  Point first_tail;
  Point origin_marker;
  Point terminal_marker;
};

/// Uniform numbers in the order in which the original program draws them.
class Chance {
 public:
  Chance(uint64_t seed, uint64_t image) : stream_(seed, StreamPurpose::kExample, image) {}

  int below(int bound) { return static_cast<int>(stream_.below(static_cast<uint64_t>(bound))); }

  /// In [0, 1), with 53 bits.
  double unit() {
    constexpr uint64_t kSteps = uint64_t{1} << 53;
    return static_cast<double>(stream_.below(kSteps)) / static_cast<double>(kSteps);
  }

 private:
  PhiloxStream stream_;
};

/// The margin of an image, which paint() describes, without painting it.
int margin_of(const GeneratorParameters& parameters, uint64_t seed, uint64_t image);

/// Paints images; keeps its memory between them, so one object serves a thread.
class Painter {
 public:
  explicit Painter(std::shared_ptr<const Tables> tables);
  ~Painter();

  /// Writes size * size pixels. Throws: UsageError when the parameters seem to allow no image.
  Description paint(uint64_t seed, uint64_t image, std::span<uint8_t> pixels);

 private:
  class Work;
  std::unique_ptr<Work> work_;
};

}  // namespace lra::tasks::pathfinder
