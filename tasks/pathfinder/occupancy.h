// Which pixels paddles occupy, and how much; what was added last can be taken back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "tasks/pathfinder/bit_plane.h"
#include "tasks/pathfinder/tables.h"

namespace lra::tasks::pathfinder {

/// A square of values from 0 (free) to about 1 (occupied), 1 in its frame. It lies in a larger one, so that nothing
/// that reaches outside the image needs a check of its own; there the values stay far below 0.
class Occupancy {
 public:
  Occupancy(int side, int padding, int halo);

  /// A state to come back to; states are taken back in the opposite order.
  size_t mark() const { return added_.size(); }
  void take_back(size_t mark);

  /// Whether a paddle that occupies `room` touches nothing but, slightly, its neighbours.
  bool has_room(Point start, const Stamp& room) const;

  /// Every pixel becomes at least as occupied as `room` has it.
  void add(Point start, const Stamp& room);

  /// `offset` as the distance of two values in memory.
  std::ptrdiff_t distance_of(Point offset) const { return std::ptrdiff_t{offset.y} * stride_ + offset.x; }

  /// The greatest value at the distances `near` (see distance_of) from `at`, which is inside the image.
  float most_near(Point at, std::span<const std::ptrdiff_t> near) const {
    const float* centre = values_.data() + index(at);
    float most = centre[0];
    for (const std::ptrdiff_t distance : near) most = centre[distance] > most ? centre[distance] : most;
    return most;
  }

  bool is_inside(Point at) const {
    return static_cast<unsigned>(at.y) < static_cast<unsigned>(side_) &&
           static_cast<unsigned>(at.x) < static_cast<unsigned>(side_);
  }

  /// Sets the bits of all pixels that are not free for a seed and were changed after `mark`.
  void mark_blocked(size_t mark, BitPlane& blocked) const;

 private:
  struct Addition {
    size_t first = 0;  // index of the box's upper left value
    Point corner;
    int rows = 0;
    int columns = 0;
    size_t saved = 0;  // where its earlier values begin in saved_
  };

  /// The greatest sum of has_room(), not rounded: 1 + 0.8 and its like occur among 8-bit values.
  double exact_sum(Point start, const Stamp& room) const;

  size_t index(Point at) const {
    return static_cast<size_t>(at.y + halo_) * static_cast<size_t>(stride_) + static_cast<size_t>(at.x + halo_);
  }

  int side_;
  int halo_;
  int stride_;
  std::vector<float> values_;
  std::vector<float> limits_;  // infinite inside
  std::vector<Addition> added_;
  std::vector<float> saved_;
};

}  // namespace lra::tasks::pathfinder
