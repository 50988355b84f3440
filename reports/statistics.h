// Order statistics and confidence intervals of measured samples.
#pragma once

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
