#include "tasks/pathfinder/baselines.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "tasks/linear_probe.h"
#include "tasks/majority.h"

namespace lra::tasks::pathfinder {
namespace {

/// Sums of the pixels above and left of each corner of a pixel: [size + 1, size + 1].
std::vector<int64_t> corner_sums(std::span<const uint8_t> pixels, int size) {
  const auto width = static_cast<size_t>(size) + 1;
  std::vector<int64_t> sums(width * width, 0);
  for (size_t y = 1; y < width; ++y) {
    int64_t row = 0;
    for (size_t x = 1; x < width; ++x) {
      row += pixels[(y - 1) * (width - 1) + x - 1];
      sums[y * width + x] = sums[(y - 1) * width + x] + row;
    }
  }
  return sums;
}

double squared(double value) { return value * value; }

/// What one image is judged by.
struct Case {
  double distance = 0;
  int label = 0;
};

std::vector<Case> sampled_cases(const Split& split, int size, double radius) {
  const int64_t count = std::min(split.size(), kSampleExamples);
  std::vector<Case> cases;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t example = i * split.size() / count;
    const auto [a, b] = find_markers(split.tokens(example), size, radius);
    cases.push_back({std::hypot(a.y - b.y, a.x - b.x), split.label(example)});
  }
  return cases;
}

/// The answer `above` for distances above `threshold`, the other one up to it.
struct Stump {
  double threshold = 0;
  int above = 0;

  int operator()(double distance) const { return distance > threshold ? above : 1 - above; }
};

/// The stump that is right most often; on a tie that of the least threshold.
Stump fitted(std::vector<Case> cases) {
  std::sort(cases.begin(), cases.end(), [](const Case& a, const Case& b) { return a.distance < b.distance; });
  const auto total = static_cast<int64_t>(cases.size());
  const int64_t ones = std::count_if(cases.begin(), cases.end(), [](const Case& one) { return one.label == 1; });
  Stump best{.threshold = -1, .above = 2 * ones >= total ? 1 : 0};
  int64_t most = std::max(ones, total - ones);
  int64_t ones_below = 0;
  for (int64_t i = 0; i < total; ++i) {
    const Case& here = cases[static_cast<size_t>(i)];
    ones_below += here.label;
    if (i + 1 < total && cases[static_cast<size_t>(i) + 1].distance == here.distance) continue;
    const int64_t zeros_below = i + 1 - ones_below;
    const int64_t right_if_one_above = zeros_below + ones - ones_below;
    for (const int above : {0, 1}) {
      const int64_t right = above == 1 ? right_if_one_above : total - right_if_one_above;
      if (right > most) {
        most = right;
        best = {here.distance, above};
      }
    }
  }
  return best;
}

}  // namespace

std::pair<Point, Point> find_markers(std::span<const uint8_t> pixels, int size, double radius) {
  const std::vector<int64_t> sums = corner_sums(pixels, size);
  const auto reach = static_cast<int>(radius);
  const auto sum_at = [&](int y, int x) { return sums[static_cast<size_t>(y * (size + 1) + x)]; };
  const auto brightness = [&](int y, int x) {
    const int top = std::max(0, y - reach);
    const int left = std::max(0, x - reach);
    const int bottom = std::min(size, y + reach + 1);
    const int right = std::min(size, x + reach + 1);
    return sum_at(bottom, right) - sum_at(top, right) - sum_at(bottom, left) + sum_at(top, left);
  };
  const auto brightest = [&](Point away_from) {
    Point best;
    int64_t most = -1;
    for (int y = 0; y < size; ++y) {
      for (int x = 0; x < size; ++x) {
        if (squared(y - away_from.y) + squared(x - away_from.x) < squared(2 * radius)) continue;
        if (const int64_t here = brightness(y, x); here > most) {
          most = here;
          best = {y, x};
        }
      }
    }
    return best;
  };
  const int nowhere = -4 * size;
  const Point first = brightest({nowhere, nowhere});
  return {first, brightest(first)};
}

std::vector<ShortcutBaseline> baselines_of(const Dataset& dataset, int size, double marker_radius) {
  if (dataset.train().size() == 0 || dataset.test().size() == 0) return {};
  const Stump stump = fitted(sampled_cases(dataset.train(), size, marker_radius));
  const std::vector<Case> test = sampled_cases(dataset.test(), size, marker_radius);
  const auto right =
      std::count_if(test.begin(), test.end(), [&](const Case& one) { return stump(one.distance) == one.label; });
  return {majority_baseline(dataset),
          token_histogram_baseline(dataset, "pixel_histogram"),
          {"marker_distance", static_cast<double>(right) / static_cast<double>(test.size()),
           fmt::format("answers {} when the two brightest spots are more than {:.1f} pixels apart, as fits {} train "
                       "examples best; on {} test examples",
                       stump.above, stump.threshold, std::min(dataset.train().size(), kSampleExamples), test.size())}};
}

}  // namespace lra::tasks::pathfinder
