#include "reports/statistics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

namespace lra::reports {
namespace {

/// `sorted` must not be empty.
double quantile_of_sorted(const std::vector<double>& sorted, double p) {
  const double position = std::clamp(p, 0.0, 1.0) * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(position);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  const double fraction = position - static_cast<double>(below);
  return sorted[below] + fraction * (sorted[above] - sorted[below]);
}

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

}  // namespace

double quantile(std::span<const double> samples, double p) {
  if (samples.empty()) return kNaN;
  std::vector<double> sorted(samples.begin(), samples.end());
  std::sort(sorted.begin(), sorted.end());
  return quantile_of_sorted(sorted, p);
}

double median(std::span<const double> samples) { return quantile(samples, 0.5); }

double mean(std::span<const double> samples) {
  if (samples.empty()) return kNaN;
  return std::accumulate(samples.begin(), samples.end(), 0.0) / static_cast<double>(samples.size());
}

Interval wilson_interval(std::int64_t correct, std::int64_t total, double z) {
  if (correct < 0 || total < 0 || correct > total) {
    throw std::invalid_argument("[wilson_interval] " + std::to_string(correct) + " correct of " +
                                std::to_string(total) + " is no proportion");
  }
  if (total == 0) return {0.0, 1.0};
  const auto n = static_cast<double>(total);
  const double share = static_cast<double>(correct) / n;
  const double centre = share + z * z / (2 * n);
  const double half_width = z * std::sqrt(share * (1 - share) / n + z * z / (4 * n * n));
  const double scale = 1 + z * z / n;
  // Exactly 0 and 1 at the ends, where rounding would leave 1e-17 or 1 - 1e-16.
  return {correct == 0 ? 0.0 : (centre - half_width) / scale, correct == total ? 1.0 : (centre + half_width) / scale};
}

Interval bootstrap_median_interval(std::span<const double> samples, const Bootstrap& bootstrap) {
  if (samples.empty()) return {kNaN, kNaN};
  std::mt19937_64 generator(bootstrap.seed);
  // Not std::uniform_int_distribution: its draws differ between standard libraries.
  const auto draw = [&] { return static_cast<size_t>(((generator() >> 32) * samples.size()) >> 32); };
  std::vector<double> resample(samples.size());
  std::vector<double> medians(static_cast<size_t>(std::max(1, bootstrap.resamples)));
  for (double& m : medians) {
    for (double& value : resample) value = samples[draw()];
    std::sort(resample.begin(), resample.end());
    m = quantile_of_sorted(resample, 0.5);
  }
  std::sort(medians.begin(), medians.end());
  const double tail = (1 - bootstrap.confidence) / 2;
  return {quantile_of_sorted(medians, tail), quantile_of_sorted(medians, 1 - tail)};
}

}  // namespace lra::reports
