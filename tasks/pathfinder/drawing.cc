#include "tasks/pathfinder/drawing.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace lra::tasks::pathfinder {
namespace {

constexpr double kWhite = 255;
constexpr double kWeightUnits = 1 << 22;  // Pillow's weights are whole numbers of these where values have 8 bits

double lanczos(double x) {
  constexpr double kLobes = 3;
  if (x == 0) return 1;
  if (std::abs(x) >= kLobes) return 0;
  const double angle = std::numbers::pi * x;
  return std::sin(angle) / angle * (std::sin(angle / kLobes) / (angle / kLobes));
}

/// A square of fine pixels, 0 or kWhite.
class FineCanvas {
 public:
  explicit FineCanvas(int side) : side_(side), values_(static_cast<size_t>(side) * static_cast<size_t>(side), 0) {}

  int side() const { return side_; }
  bool is_set(Point at) const { return values_[index(at)] != 0; }
  void set(Point at) { values_[index(at)] = kWhite; }
  std::span<const double> row(int y) const { return std::span(values_).subspan(index({y, 0}), size_t(side_)); }
  bool contains(Point at) const { return at.y >= 0 && at.y < side_ && at.x >= 0 && at.x < side_; }

 private:
  size_t index(Point at) const {
    return static_cast<size_t>(at.y) * static_cast<size_t>(side_) + static_cast<size_t>(at.x);
  }

  int side_;
  std::vector<double> values_;
};

/// Bresenham's line with both end points; on a tie it steps sideways.
void draw_thin_line(FineCanvas& canvas, Point from, Point to) {
  const Point length{std::abs(to.y - from.y), std::abs(to.x - from.x)};
  const Point step{to.y < from.y ? -1 : 1, to.x < from.x ? -1 : 1};
  const bool is_flat = length.x > length.y;
  const int steps = is_flat ? length.x : length.y;
  const int rise = is_flat ? length.y : length.x;
  Point at = from;
  int error = 2 * rise - steps;
  for (int i = 0; i < steps; ++i) {
    canvas.set(at);
    if (error >= 0 && rise > 0) {
      (is_flat ? at.y : at.x) += is_flat ? step.y : step.x;
      error -= 2 * steps;
    }
    error += 2 * rise;
    (is_flat ? at.x : at.y) += is_flat ? step.x : step.y;
  }
  canvas.set(to);
}

/// To the nearest whole number; halves away from zero, or towards it.
int round_away(double value) { return static_cast<int>(std::copysign(std::floor(std::abs(value) + 0.5), value)); }
int round_towards(double value) { return static_cast<int>(std::copysign(std::ceil(std::abs(value) - 0.5), value)); }

/// The rectangle round the line as Pillow fills it: corners at whole pixels, and in each row all pixels whose centres
/// are between its edges.
void draw_wide_line(FineCanvas& canvas, Point from, Point to, int width) {
  const double dy = to.y - from.y;
  const double dx = to.x - from.x;
  const double length = std::hypot(dx, dy);
  const double half = (width - 1) / 2.0;
  const double wide = round_away(half) / length;
  const double narrow = round_towards(half) / length;
  const Point one_side{round_away(wide * dx), -round_towards(narrow * dy)};
  const Point other_side{-round_away(narrow * dx), round_towards(wide * dy)};
  const Point corners[4] = {from + one_side, to + one_side, to + other_side, from + other_side};
  int top = corners[0].y;
  int bottom = corners[0].y;
  for (const Point& corner : corners) {
    top = std::min(top, corner.y);
    bottom = std::max(bottom, corner.y);
  }
  for (int y = top; y <= bottom; ++y) {
    double left = canvas.side();
    double right = -1;
    const auto meet = [&](double x) {
      left = std::min(left, x);
      right = std::max(right, x);
    };
    for (int i = 0; i < 4; ++i) {
      const Point a = corners[i];
      const Point b = corners[(i + 1) % 4];
      if (y < std::min(a.y, b.y) || y > std::max(a.y, b.y)) continue;
      if (a.y == b.y) {
        meet(a.x);
        meet(b.x);
      } else {
        meet(settled(a.x + double(b.x - a.x) * (y - a.y) / (b.y - a.y)));
      }
    }
    for (int x = round_away(left); x <= round_towards(right); ++x) {
      if (canvas.contains({y, x})) canvas.set({y, x});
    }
  }
}

FineCanvas dilated(const FineCanvas& canvas, int radius) {
  FineCanvas wider(canvas.side());
  for (int y = 0; y < canvas.side(); ++y) {
    for (int x = 0; x < canvas.side(); ++x) {
      if (!canvas.is_set({y, x})) continue;
      for (int dy = -radius; dy <= radius; ++dy) {
        for (int dx = -radius; dx <= radius; ++dx) {
          const Point at{y + dy, x + dx};
          if (dy * dy + dx * dx <= radius * radius && wider.contains(at)) wider.set(at);
        }
      }
    }
  }
  return wider;
}

/// Rows first, then columns, as Pillow does.
std::vector<float> shrunk(const FineCanvas& canvas, const LanczosFilter& filter, Rendering render) {
  const int side = filter.size();
  std::vector<double> narrow(static_cast<size_t>(side) * static_cast<size_t>(canvas.side()));  // [side, canvas side]
  for (int y = 0; y < canvas.side(); ++y) {
    for (int x = 0; x < side; ++x) {
      narrow[static_cast<size_t>(x * canvas.side() + y)] = filtered(filter, x, canvas.row(y), 0, render);
    }
  }
  std::vector<float> values(static_cast<size_t>(side) * static_cast<size_t>(side));
  for (int x = 0; x < side; ++x) {
    const auto column = std::span(narrow).subspan(static_cast<size_t>(x * canvas.side()), size_t(canvas.side()));
    for (int y = 0; y < side; ++y) {
      values[static_cast<size_t>(y * side + x)] = kept(filtered(filter, y, column, 0, render), render);
    }
  }
  return values;
}

}  // namespace

double settled(double value) {
  constexpr double kUnits = 1 << 30;
  return std::nearbyint(value * kUnits) / kUnits;
}

double radians(double degrees) { return degrees * std::numbers::pi / 180; }

Heading::Heading(double orientation) : sine(std::sin(orientation)), cosine(std::cos(orientation)) {}

Point moved(Point from, const Heading& heading, double distance) {
  // Product and sum are rounded each, as the original program does: see CMakeLists.txt.
  return {static_cast<int>(std::ceil(from.y + distance * heading.sine)),
          static_cast<int>(std::ceil(from.x + distance * heading.cosine))};
}

double reversed(double orientation) { return orientation + (orientation < 0 ? std::numbers::pi : -std::numbers::pi); }

LanczosFilter::LanczosFilter(int from, int to) {
  const double scale = static_cast<double>(from) / to;
  const double support = 3 * scale;
  for (int i = 0; i < to; ++i) {
    const double centre = (i + 0.5) * scale;
    Window window;
    window.first = std::max(0, static_cast<int>(std::floor(centre - support + 0.5)));
    const int end = std::min(from, static_cast<int>(std::floor(centre + support + 0.5)));
    double sum = 0;
    for (int j = window.first; j < end; ++j) {
      window.weights.push_back(lanczos((j - centre + 0.5) / scale));
      sum += window.weights.back();
    }
    for (double& weight : window.weights) weight /= sum;
    windows_.push_back(std::move(window));
  }
}

double filtered(const LanczosFilter& filter, int pixel, std::span<const double> values, int first_value,
                Rendering render) {
  const LanczosFilter::Window& window = filter.window(pixel);
  const int begin = std::max(window.first, first_value);
  const int end =
      std::min(window.first + static_cast<int>(window.weights.size()), first_value + static_cast<int>(values.size()));
  const bool is_original = render == Rendering::kOriginal;
  double sum = 0;
  for (int i = begin; i < end; ++i) {
    const double weight = window.weights[static_cast<size_t>(i - window.first)];
    sum += (is_original ? std::round(weight * kWeightUnits) : weight) * values[static_cast<size_t>(i - first_value)];
  }
  if (!is_original) return sum;
  return std::clamp(std::floor(sum / kWeightUnits + 0.5), 0.0, kWhite);
}

float kept(double value, Rendering render) {
  constexpr double kUnits = 1 << 20;
  if (render == Rendering::kOriginal) return static_cast<float>(value / kWhite);
  return static_cast<float>(std::nearbyint(value / kWhite * kUnits) / kUnits);
}

Paddle draw_paddle(const GeneratorParameters& parameters, int margin, double orientation) {
  const int scale = parameters.antialias_scale;
  const int reach = parameters.paddle_length + static_cast<int>(std::ceil(parameters.paddle_thickness)) + margin;
  const int width = static_cast<int>(std::round(parameters.paddle_thickness * scale));
  FineCanvas canvas(2 * reach * scale + 1);
  const Point centre{reach * scale, reach * scale};
  const Point end = moved(centre, Heading(orientation), parameters.paddle_length * scale);
  if (width == 1 || end == centre) {
    draw_thin_line(canvas, centre, end);
  } else {
    draw_wide_line(canvas, centre, end, width);
  }
  const LanczosFilter filter(canvas.side(), 2 * reach + 1);
  return {{reach, shrunk(canvas, filter, parameters.render)},
          {reach, shrunk(dilated(canvas, margin * scale), filter, parameters.render)}};
}

Disc draw_disc(const GeneratorParameters& parameters, const LanczosFilter& filter, Point centre) {
  const int scale = parameters.antialias_scale;
  const double radius = parameters.marker_radius * scale;
  const auto reach = static_cast<int>(radius);
  const int fine_side = parameters.size * scale;
  const auto rows_of = [&](int middle, int& first, int& count) {  // fine rows of the disc inside the canvas
    first = std::max(0, middle * scale - reach);
    count = std::min(fine_side, middle * scale + reach + 1) - first;
  };
  const auto touched = [&](int first, int count, int& begin, int& end) {  // pixels that those rows change
    const auto is_touched = [&](int pixel) {
      const LanczosFilter::Window& window = filter.window(pixel);
      return window.first < first + count && window.first + static_cast<int>(window.weights.size()) > first;
    };
    for (begin = 0; !is_touched(begin);) ++begin;
    for (end = filter.size(); !is_touched(end - 1);) --end;
  };
  Point first;
  Point count;
  rows_of(centre.y, first.y, count.y);
  rows_of(centre.x, first.x, count.x);
  Disc disc;
  if (count.y <= 0 || count.x <= 0) return disc;
  Point end;
  touched(first.y, count.y, disc.corner.y, end.y);
  touched(first.x, count.x, disc.corner.x, end.x);
  disc.rows = end.y - disc.corner.y;
  disc.columns = end.x - disc.corner.x;

  std::vector<double> fine(static_cast<size_t>(count.x));
  std::vector<double> narrow(static_cast<size_t>(disc.columns * count.y));  // [columns, fine rows]
  for (int y = 0; y < count.y; ++y) {
    const double dy = first.y + y - centre.y * scale;
    for (int x = 0; x < count.x; ++x) {
      const double dx = first.x + x - centre.x * scale;
      fine[static_cast<size_t>(x)] = dy * dy + dx * dx <= radius * radius ? kWhite : 0;
    }
    for (int x = 0; x < disc.columns; ++x) {
      narrow[static_cast<size_t>(x * count.y + y)] =
          filtered(filter, disc.corner.x + x, fine, first.x, parameters.render);
    }
  }
  disc.values.resize(static_cast<size_t>(disc.rows * disc.columns));
  for (int x = 0; x < disc.columns; ++x) {
    const auto column = std::span(narrow).subspan(static_cast<size_t>(x * count.y), static_cast<size_t>(count.y));
    for (int y = 0; y < disc.rows; ++y) {
      disc.values[static_cast<size_t>(y * disc.columns + x)] =
          kept(filtered(filter, disc.corner.y + y, column, first.y, parameters.render), parameters.render);
    }
  }
  return disc;
}

}  // namespace lra::tasks::pathfinder
