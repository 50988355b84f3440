// Order statistics and confidence intervals of measured samples.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace lra::reports {

struct Interval {
  double low = 0;
  double high = 0;
};

/// Standard normal quantile of a two-sided 95 % interval.
inline constexpr double kZ95 = 1.959964;

/// The `p`-quantile (p in [0, 1]) with linear interpolation between order statistics (Hyndman and Fan, type 7; NumPy's
/// default). NaN when `samples` is empty.
double quantile(std::span<const double> samples, double p);

/// NaN when `samples` is empty.
double median(std::span<const double> samples);

/// NaN when `samples` is empty.
double mean(std::span<const double> samples);

/// Share of samples that are outliers: outside Tukey's fences (1.5 times the interquartile range beyond the quartiles),
/// more than three scaled median absolute deviations from the median, and more than 1 % off it. 0 when `samples` is
/// empty. Sources: Tukey, Exploratory Data Analysis (1977); Hampel, J. Am. Stat. Assoc. 69 (1974).
double outlier_share(std::span<const double> samples);

/// Median of the second half over that of the first, minus 1; the middle one of an odd number counts in neither. NaN
/// for fewer than two samples.
double drift(std::span<const double> samples);

/// Whether the last `window` samples agree with the `window` before them: medians within `tolerance` of each other.
/// False when there are fewer than two windows.
bool has_settled(std::span<const double> samples, std::size_t window, double tolerance);

/// Wilson score interval of a proportion; [0, 1] when `total` is 0. Throws std::invalid_argument unless
/// 0 <= correct <= total. Source: Wilson, J. Am. Stat. Assoc. 22 (1927).
Interval wilson_interval(std::int64_t correct, std::int64_t total, double z = kZ95);

/// What `bootstrap_median_interval` resamples and how often.
struct Bootstrap {
  std::uint64_t seed = 0;
  int resamples = 2000;
  double confidence = 0.95;
};

/// Percentile bootstrap interval of the median: the same samples and seed give the same interval on every machine.
/// NaN when `samples` is empty.
Interval bootstrap_median_interval(std::span<const double> samples, const Bootstrap& bootstrap = {});

}  // namespace lra::reports
