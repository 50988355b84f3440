#include "tasks/pathfinder/tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "engine/errors.h"
#include "tasks/pathfinder/bit_plane.h"

namespace lra::tasks::pathfinder {
namespace {

Stamp stamp_of(const Patch& patch) {
  Point least{patch.reach + 1, patch.reach + 1};
  Point most{-patch.reach - 1, -patch.reach - 1};
  for (int y = -patch.reach; y <= patch.reach; ++y) {
    for (int x = -patch.reach; x <= patch.reach; ++x) {
      if (patch.at({y, x}) <= 0) continue;
      least = {std::min(least.y, y), std::min(least.x, x)};
      most = {std::max(most.y, y), std::max(most.x, x)};
    }
  }
  Stamp stamp{.corner = least, .rows = most.y - least.y + 1};
  stamp.stride = (most.x - least.x + kStampLanes) / kStampLanes * kStampLanes;
  stamp.values.resize(static_cast<size_t>(stamp.rows * stamp.stride));
  for (int y = least.y; y <= most.y; ++y) {
    for (int x = least.x; x <= most.x; ++x) {
      stamp.values[static_cast<size_t>((y - least.y) * stamp.stride + x - least.x)] = std::max(0.0F, patch.at({y, x}));
    }
  }
  return stamp;
}

/// Drawn in a square that reaches `reach` pixels to each side, one pixel right of and below its centre.
std::vector<FootprintRow> footprint_of(const Patch& room, int reach) {
  constexpr float kFull = 1;
  std::vector<FootprintRow> rows;
  for (int y = -reach; y <= reach; ++y) {
    FootprintRow row{.y = y, .columns = {}};
    for (int x = -reach; x <= reach; ++x) {
      const Point offset{y - 1, x - 1};
      if (std::abs(offset.y) <= room.reach && std::abs(offset.x) <= room.reach && room.at(offset) >= kFull) {
        row.columns.push_back(x);
      }
    }
    if (!row.columns.empty()) rows.push_back(std::move(row));
  }
  return rows;
}

BitPlane met(const BitPlane& plane, const std::vector<FootprintRow>& footprint) {
  BitPlane result(plane.side());
  meet(plane, footprint, result);
  return result;
}

void add_seeds(const GeneratorParameters& parameters, MarginTables& tables) {
  const int length = parameters.paddle_length;
  const int side = parameters.size;
  BitPlane everything(side);
  everything.set_frame(side);
  BitPlane frame(side);
  frame.set_frame(std::max(parameters.padding, 2 * parameters.seed_distance));
  bool has_tail = false;
  for (int degree = 0; degree < kDegrees; ++degree) {
    const double orientation = radians(degree + kFirstDegree);
    const Paddle paddle = draw_paddle(parameters, tables.margin, orientation);
    tables.reach = paddle.room.reach;
    tables.lines.push_back(stamp_of(paddle.line));
    tables.rooms.push_back(stamp_of(paddle.room));
    tables.headings.emplace_back(orientation);
    tables.reversed_headings.emplace_back(reversed(orientation));
    tables.footprints.push_back(footprint_of(paddle.room, length + tables.margin));
    const BitPlane inside = met(everything, tables.footprints.back());
    const bool is_everywhere = inside.count() == side * side;
    tables.survives.push_back(parameters.border == Border::kLiteral ? is_everywhere : inside.count() > 0);
    tables.first_tails.push_back({BitPlane(side), 0});
    if (parameters.border == Border::kRelaxed) tables.eligible.emplace_back(side);
    if (!tables.survives.back()) continue;
    BitPlane& free = tables.first_tails.back().plane;
    free = met(frame, tables.footprints.back());
    free.invert();
    free.intersect(inside);
    if (parameters.border == Border::kRelaxed) tables.eligible.back() = inside;
    tables.first_tails.back().count = free.count();
    has_tail = has_tail || free.count() > 0;
  }
  if (!has_tail) {
    throw UsageError(fmt::format("no first paddle fits: task.paddle_margin_list has {}, task.seed_distance is {}, "
                                 "task.padding {} and the image {} pixels wide",
                                 tables.margin, parameters.seed_distance, parameters.padding, side),
                     "take a smaller margin, distance or padding, or --set task.border=relaxed");
  }
}

void add_candidates(const GeneratorParameters& parameters, MarginTables& tables) {
  const int length = parameters.paddle_length;
  const std::vector<Point> offsets = circle_offsets(length + tables.margin);
  std::vector<double> orientations;
  for (int degree = 0; degree < kDegrees; ++degree) {
    orientations.push_back(radians(degree + kFirstDegree));
  }
  for (const Point& offset : offsets) {
    orientations.push_back(std::atan2(offset.y, offset.x));
    const Paddle paddle = draw_paddle(parameters, tables.margin, reversed(orientations.back()));
    tables.lines.push_back(stamp_of(paddle.line));
    tables.rooms.push_back(stamp_of(paddle.room));
    tables.headings.emplace_back(orientations.back());
  }
  for (const double orientation : orientations) {
    tables.turns.emplace_back();
    for (size_t i = 0; i < offsets.size(); ++i) {
      const double weight = turn_weight(orientation, orientations[kDegrees + i], parameters.continuity);
      if (weight > 0) tables.turns.back().push_back({static_cast<int>(i), offsets[i], weight});
    }
  }
}

}  // namespace

void meet(const BitPlane& plane, const std::vector<FootprintRow>& footprint, BitPlane& result) {
  for (int y = 0; y < plane.side(); ++y) {
    result.row(y) = {};
    for (const FootprintRow& row : footprint) {
      for (const int x : row.columns) plane.merge_moved(y + row.y, x, result.row(y));
    }
    result.trim(result.row(y));
  }
}

std::vector<Point> circle_offsets(int radius) {
  std::vector<Point> offsets;
  const double step_degrees = kDegrees / (2 * radius * std::numbers::pi);
  for (int i = 0; i * step_degrees < kDegrees; ++i) {
    const double angle = radians(i * step_degrees);
    offsets.push_back({static_cast<int>(std::floor(settled(radius * std::sin(angle)))),
                       static_cast<int>(std::floor(settled(radius * std::cos(angle))))});
  }
  const auto is_before = [](Point a, Point b) { return a.y != b.y ? a.y < b.y : a.x < b.x; };
  std::sort(offsets.begin(), offsets.end(), is_before);
  offsets.erase(std::unique(offsets.begin(), offsets.end()), offsets.end());
  return offsets;
}

double turn_weight(double from, double to, double continuity) {
  const double difference = std::abs(to - from);
  const double angle = continuity * std::min(difference, 2 * std::numbers::pi - difference);
  if (angle >= std::numbers::pi / 2) return 0;
  return std::cos(angle) * std::cos(angle);
}

Tables::Tables(const GeneratorParameters& parameters)
    : parameters_(parameters), disc_filter_(parameters.size * parameters.antialias_scale, parameters.size) {
  for (const int margin : parameters.paddle_margin_list) {
    MarginTables tables;
    tables.margin = margin;
    for (int y = -margin; y <= margin; ++y) {
      for (int x = -margin; x <= margin; ++x) {
        if (y * y + x * x <= margin * margin) tables.near.push_back({y, x});
      }
    }
    add_seeds(parameters, tables);
    add_candidates(parameters, tables);
    // A tail is inside or within a paddle of a head that is. From there a patch reaches `reach`; the next pivot lies
    // within a margin and two pixels of the head, and its candidates and their surroundings a paddle and two margins
    // on.
    constexpr int kRounding = 4;
    halo_ = std::max(halo_, parameters.paddle_length + tables.reach + 3 * margin + kRounding);
    margins_.push_back(std::move(tables));
  }
}

}  // namespace lra::tasks::pathfinder
