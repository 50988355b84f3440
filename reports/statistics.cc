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

double outlier_share(std::span<const double> samples) {
  if (samples.empty()) return 0;
  constexpr double kFence = 1.5, kDeviations = 3, kFloor = 0.01;
  constexpr double kMadOfNormal = 1.4826;  // scales the deviation to the standard deviation of a normal distribution
  const double low = quantile(samples, 0.25), high = quantile(samples, 0.75), centre = median(samples);
  std::vector<double> deviations;
  for (const double sample : samples) deviations.push_back(std::abs(sample - centre));
  const double reach = std::max(kDeviations * kMadOfNormal * median(deviations), kFloor * std::abs(centre));
  const auto outliers = std::count_if(samples.begin(), samples.end(), [&](double sample) {
    const bool fenced_out = sample < low - kFence * (high - low) || sample > high + kFence * (high - low);
    return fenced_out && std::abs(sample - centre) > reach;
  });
  return static_cast<double>(outliers) / static_cast<double>(samples.size());
}

double drift(std::span<const double> samples) {
  const size_t half = samples.size() / 2;
  return median(samples.last(half)) / median(samples.first(half)) - 1;
}

bool has_settled(std::span<const double> samples, std::size_t window, double tolerance) {
  if (window == 0 || samples.size() < 2 * window) return false;
  const double last = median(samples.last(window)), before = median(samples.last(2 * window).first(window));
  return std::abs(last - before) <= tolerance * before;
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
