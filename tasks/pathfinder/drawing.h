// How a paddle and a marker look: lines and discs drawn finely and shrunk with a Lanczos filter.
//
// Source: the original program draws with Pillow and shrinks with its antialiased Lanczos filter; what is drawn here is
// the same to the last of 8 bits (Rendering::kOriginal) or before any rounding to bits (Rendering::kRelease).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "tasks/pathfinder/parameters.h"

namespace lra::tasks::pathfinder {

/// A displacement or a position; y counts rows downwards, x columns. Orientations are radians from x towards y.
struct Point {
  int y = 0;
  int x = 0;

  Point operator+(Point other) const { return {y + other.y, x + other.x}; }
  bool operator==(const Point&) const = default;
};

/// `value` without the noise of the last bits of sines: equal on every machine, and an exact half stays one.
double settled(double value);

double radians(double degrees);

/// A direction as the original program has it: its sines are those of radians.
struct Heading {
  double sine = 0;
  double cosine = 1;

  Heading() = default;
  explicit Heading(double orientation);
};

/// The point `distance` pixels from another, rounded up. The last bits of the sines count: heading left, with the sine
/// 1.2e-16, a paddle stays in its row from row 8 on and sinks by one above. Contours at the upper border are pushed
/// away from it by that, and a tenth fewer pairs of them find room in 32 pixels than would without.
Point moved(Point from, const Heading& heading, double distance);

/// The opposite direction, in [-pi, pi].
double reversed(double orientation);

/// The weights of an antialiased Lanczos filter (three lobes) that shrinks `from` pixels to `to`.
class LanczosFilter {
 public:
  LanczosFilter(int from, int to);

  struct Window {
    int first = 0;                // of the fine pixels
    std::vector<double> weights;  // of `first` and those that follow; their sum is 1
  };
  const Window& window(int pixel) const { return windows_[static_cast<size_t>(pixel)]; }
  int size() const { return static_cast<int>(windows_.size()); }

 private:
  std::vector<Window> windows_;
};

/// Pixel `pixel` of a row, made of the fine pixels `values`, of which the first has the number `first_value`; those
/// that are not given are 0. Values are 0..255; those of Rendering::kOriginal are rounded and clipped to that.
double filtered(const LanczosFilter& filter, int pixel, std::span<const double> values, int first_value,
                Rendering render);

/// What `filtered` gives, as the images keep it: relative to 255, and without the noise of the last bits.
float kept(double value, Rendering render);

/// A square of (2 reach + 1)^2 pixels round the point from which a paddle is drawn.
struct Patch {
  int reach = 0;
  std::vector<float> values;

  int side() const { return 2 * reach + 1; }
  float at(Point offset) const { return values[static_cast<size_t>((offset.y + reach) * side() + offset.x + reach)]; }
};

/// A paddle: its line at full contrast, and the room it occupies, which is wider by the margin.
struct Paddle {
  Patch line;
  Patch room;
};

/// `orientation` leads from the point of drawing along the paddle.
Paddle draw_paddle(const GeneratorParameters& parameters, int margin, double orientation);

/// The part of an image of `size` pixels a side that a disc changes.
struct Disc {
  Point corner;  // upper left
  int rows = 0;
  int columns = 0;
  std::vector<float> values;  // [rows, columns], some of them negative
};

/// `filter` shrinks size * antialias_scale to size. Empty where the disc lies outside the image.
Disc draw_disc(const GeneratorParameters& parameters, const LanczosFilter& filter, Point centre);

}  // namespace lra::tasks::pathfinder
