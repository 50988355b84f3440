#include "tasks/pathfinder/occupancy.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace lra::tasks::pathfinder {
namespace {

constexpr float kOutside = -1e30F;
constexpr double kTouching = 1.8;  // of two paddles together: more than neighbours in a row have
constexpr float kFree = 0.3F;      // for a seed: a pixel that is occupied no more than this

}  // namespace

Occupancy::Occupancy(int side, int padding, int halo)
    : side_(side), halo_(halo), stride_(side + 2 * halo + kStampLanes) {
  const auto size = static_cast<size_t>(side + 2 * halo) * static_cast<size_t>(stride_);
  values_.assign(size, kOutside);
  limits_.assign(size, kOutside);
  for (int y = 0; y < side; ++y) {
    for (int x = 0; x < side; ++x) {
      const bool is_frame = y < padding || x < padding || y >= side - padding || x >= side - padding;
      values_[index({y, x})] = is_frame ? 1 : 0;
      limits_[index({y, x})] = std::numeric_limits<float>::infinity();
    }
  }
}

bool Occupancy::has_room(Point start, const Stamp& room) const {
  const float* values = values_.data() + index(start + room.corner);
  const float* stamp = room.values.data();
  std::array<float, kStampLanes> most;
  most.fill(kOutside);
  for (int y = 0; y < room.rows; ++y, values += stride_, stamp += room.stride) {
    for (int x = 0; x < room.stride; x += kStampLanes) {
#pragma omp simd
      for (int lane = 0; lane < kStampLanes; ++lane) {
        const float sum = values[x + lane] + stamp[x + lane];
        float& greatest = most[static_cast<size_t>(lane)];
        greatest = sum > greatest ? sum : greatest;
      }
    }
  }
  const float greatest = *std::max_element(most.begin(), most.end());
  constexpr float kRounding = 1e-6F;  // of a float near the limit
  if (std::abs(greatest - kTouching) > kRounding) return greatest < kTouching;
  return exact_sum(start, room) < kTouching;
}

double Occupancy::exact_sum(Point start, const Stamp& room) const {
  double most = kOutside;
  for (int y = 0; y < room.rows; ++y) {
    for (int x = 0; x < room.stride; ++x) {
      const double occupied = values_[index(start + room.corner + Point{y, x})];
      most = std::max(most, occupied + double{room.values[static_cast<size_t>(y * room.stride + x)]});
    }
  }
  return most;
}

void Occupancy::add(Point start, const Stamp& room) {
  const Point corner = start + room.corner;
  const size_t first = index(corner);
  const size_t saved_before = saved_.size();
  added_.push_back({first, corner, room.rows, room.stride, saved_before});
  saved_.resize(saved_before + room.values.size());
  float* values = values_.data() + first;
  const float* limits = limits_.data() + first;
  const float* stamp = room.values.data();
  float* saved = saved_.data() + saved_before;
  for (int y = 0; y < room.rows; ++y) {
    for (int x = 0; x < room.stride; x += kStampLanes) {
#pragma omp simd
      for (int lane = x; lane < x + kStampLanes; ++lane) {
        const float value = values[lane];
        saved[lane] = value;
        const float more = value > stamp[lane] ? value : stamp[lane];
        values[lane] = more < limits[lane] ? more : limits[lane];
      }
    }
    values += stride_;
    limits += stride_;
    stamp += room.stride;
    saved += room.stride;
  }
}

void Occupancy::take_back(size_t mark) {
  while (added_.size() > mark) {
    const Addition& last = added_.back();
    for (int y = 0; y < last.rows; ++y) {
      std::copy_n(saved_.data() + last.saved + static_cast<size_t>(y * last.columns), last.columns,
                  values_.data() + last.first + static_cast<size_t>(y * stride_));
    }
    saved_.resize(last.saved);
    added_.pop_back();
  }
}

void Occupancy::mark_blocked(size_t mark, BitPlane& blocked) const {
  for (size_t i = mark; i < added_.size(); ++i) {
    const Addition& box = added_[i];
    const Point end{std::min(side_, box.corner.y + box.rows), std::min(side_, box.corner.x + box.columns)};
    for (int y = std::max(0, box.corner.y); y < end.y; ++y) {
      for (int x = std::max(0, box.corner.x); x < end.x; ++x) {
        if (values_[index({y, x})] > kFree) blocked.set({y, x});
      }
    }
  }
}

}  // namespace lra::tasks::pathfinder
