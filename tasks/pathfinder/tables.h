// What the generator looks up instead of drawing it: orientations come from a finite set, the whole degrees of seeds
// and the directions from a pivot to the pixels of a circle round it.
#pragma once

#include <cstdint>
#include <vector>

#include "tasks/pathfinder/bit_plane.h"
#include "tasks/pathfinder/drawing.h"
#include "tasks/pathfinder/parameters.h"

namespace lra::tasks::pathfinder {

inline constexpr int kDegrees = 360;
inline constexpr int kFirstDegree = -180;

inline constexpr int kStampLanes = 16;  // rows of stamps are padded with zeros to a multiple of this

/// Drawn values in the smallest box that holds all that are above 0, the others in it as 0.
struct Stamp {
  Point corner;  // upper left of the box, from the point of drawing
  int rows = 0;
  int stride = 0;
  std::vector<float> values;
};

/// One number for each direction that a paddle can have: 0..359 are the degrees -180..179 of a seed, which is drawn
/// from its tail; the others the directions from a pivot to a candidate, at which the paddle is drawn backwards.
using DirectionId = int;

/// A candidate for the next head that a direction does not exclude.
struct Turn {
  int candidate = 0;  // counted from 0, by y and then x
  Point offset;       // from the pivot
  double weight = 0;  // how much the direction favours it where the image is empty
};

/// A row of the pixels that a seed must find free, as offsets from its tail.
struct FootprintRow {
  int y = 0;
  std::vector<int> columns;
};

/// Pixels of the image, and how many.
struct Places {
  BitPlane plane;
  int count = 0;
};

/// Everything that depends on the margin only.
struct MarginTables {
  int margin = 0;
  int reach = 0;                                      // of a patch
  std::vector<Stamp> lines;                           // by direction
  std::vector<Stamp> rooms;                           // by direction
  std::vector<Heading> headings;                      // by direction
  std::vector<Heading> reversed_headings;             // by degree
  std::vector<std::vector<Turn>> turns;               // by direction
  std::vector<Point> near;                            // the disc of radius `margin`
  std::vector<std::vector<FootprintRow>> footprints;  // of a seed, by degree
  std::vector<bool> survives;                         // by degree: what GeneratorParameters::border says of it
  std::vector<BitPlane> eligible;   // by degree, only for Border::kRelaxed: where a seed may be at all
  std::vector<Places> first_tails;  // by degree: where the first seed of an image may be
};

/// Read-only and shared by all threads.
class Tables {
 public:
  /// Throws: UsageError when no first seed is possible for some margin.
  explicit Tables(const GeneratorParameters& parameters);

  const GeneratorParameters& parameters() const { return parameters_; }
  const MarginTables& margin(size_t index) const { return margins_[index]; }
  const LanczosFilter& disc_filter() const { return disc_filter_; }

  /// How far outside the image a paddle, a pivot or a candidate can lie, in pixels.
  int halo() const { return halo_; }

 private:
  GeneratorParameters parameters_;
  LanczosFilter disc_filter_;
  int halo_ = 0;
  std::vector<MarginTables> margins_;
};

/// Where the footprint meets a set bit of `plane`: bit p of `result` becomes 1 if p + offset is set for some offset.
void meet(const BitPlane& plane, const std::vector<FootprintRow>& footprint, BitPlane& result);

/// The offsets from a pivot to the pixels of the circle of `radius` round it, by y and then x, each once.
std::vector<Point> circle_offsets(int radius);

/// What the turn from one orientation into another weighs where the image is empty: 1 straight on, 0 too sharp.
double turn_weight(double from, double to, double continuity);

}  // namespace lra::tasks::pathfinder
