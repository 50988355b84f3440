// Quantiles and intervals against values worked out elsewhere.
#include "reports/statistics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace lra::reports {
namespace {

TEST(Quantile, InterpolatesLinearlyAsNumPyDoes) {
  const std::vector<double> samples = {4, 1, 3, 2};
  EXPECT_DOUBLE_EQ(quantile(samples, 0), 1);
  EXPECT_DOUBLE_EQ(quantile(samples, 0.25), 1.75);
  EXPECT_DOUBLE_EQ(quantile(samples, 0.5), 2.5);
  EXPECT_NEAR(quantile(samples, 0.9), 3.7, 1e-12);
  EXPECT_DOUBLE_EQ(quantile(samples, 1), 4);
}

TEST(Quantile, OfOneSampleIsThatSampleAndOfNoneIsNaN) {
  const std::vector<double> one = {7};
  EXPECT_EQ(quantile(one, 0.99), 7);
  EXPECT_TRUE(std::isnan(quantile({}, 0.5)));
  EXPECT_TRUE(std::isnan(mean({})));
}

TEST(Median, IsUntouchedByAnOutlier) {
  const std::vector<double> samples = {1, 2, 3, 4, 1e9};
  EXPECT_EQ(median(samples), 3);
  EXPECT_EQ(mean(std::vector<double>{1, 2, 6}), 3);
}

TEST(OutlierShare, CountsWhatLiesFarFromTheRest) {
  EXPECT_EQ(outlier_share(std::vector<double>{10, 10.2, 9.9, 10.1, 10, 9.8, 10.3, 15}), 0.125);
  EXPECT_EQ(outlier_share(std::vector<double>{5, 10, 10.2, 9.9, 10.1, 10, 9.8, 10.3, 15, 10}), 0.2);
  EXPECT_EQ(outlier_share(std::vector<double>{1, 2, 3, 4, 5, 6, 7, 8}), 0);
  EXPECT_EQ(outlier_share({}), 0);
}

TEST(OutlierShare, ForgivesOnePercentOfSamplesThatAreAllAlike) {
  EXPECT_EQ(outlier_share(std::vector<double>{100, 100, 100, 100, 100.9}), 0);
  EXPECT_EQ(outlier_share(std::vector<double>{100, 100, 100, 100, 101.1}), 0.2);
}

TEST(Drift, ComparesTheHalvesByTheirMedians) {
  EXPECT_NEAR(drift(std::vector<double>{10, 10, 50, 11, 11, 11}), 0.1, 1e-12);
  EXPECT_DOUBLE_EQ(drift(std::vector<double>{8, 8, 1000, 6, 6}), -0.25);
  EXPECT_TRUE(std::isnan(drift(std::vector<double>{1})));
}

TEST(HasSettled, ComparesTheLastTwoWindows) {
  const std::vector<double> falling = {30, 20, 15, 12, 11, 10, 10, 10.2, 9.9, 10.1};
  EXPECT_FALSE(has_settled(std::span(falling).first(5), 3, 0.05));  // too few
  EXPECT_FALSE(has_settled(std::span(falling).first(6), 3, 0.05));  // 20 and 11
  EXPECT_FALSE(has_settled(std::span(falling).first(8), 3, 0.05));  // 12 and 10
  EXPECT_TRUE(has_settled(falling, 3, 0.1));
  EXPECT_FALSE(has_settled(falling, 3, 0));
  EXPECT_FALSE(has_settled(falling, 0, 1));
}

TEST(WilsonInterval, MatchesTheClosedForm) {
  // Worked out from the formula in Python.
  const Interval interval = wilson_interval(744, 2000);
  EXPECT_NEAR(interval.low, 0.3510814, 1e-7);
  EXPECT_NEAR(interval.high, 0.3934093, 1e-7);
}

TEST(WilsonInterval, StaysInsideZeroAndOneAtTheEnds) {
  const Interval none = wilson_interval(0, 10);
  EXPECT_EQ(none.low, 0);
  EXPECT_NEAR(none.high, 0.2775, 1e-4);
  const Interval all = wilson_interval(10, 10);
  EXPECT_NEAR(all.low, 0.7225, 1e-4);
  EXPECT_EQ(all.high, 1);
  EXPECT_EQ(wilson_interval(0, 0).low, 0);
  EXPECT_EQ(wilson_interval(0, 0).high, 1);
}

TEST(WilsonInterval, RefusesWhatIsNoProportion) {
  EXPECT_THROW(wilson_interval(11, 10), std::invalid_argument);
  EXPECT_THROW(wilson_interval(-1, 10), std::invalid_argument);
}

TEST(BootstrapMedianInterval, IsRepeatableAndHoldsTheMedian) {
  std::vector<double> samples;
  for (int i = 0; i < 51; ++i) samples.push_back(100 + (i * 37) % 51);
  const Interval first = bootstrap_median_interval(samples, {.seed = 5});
  const Interval again = bootstrap_median_interval(samples, {.seed = 5});
  EXPECT_EQ(first.low, again.low);
  EXPECT_EQ(first.high, again.high);
  EXPECT_LT(first.low, median(samples));
  EXPECT_GT(first.high, median(samples));
  // The order statistics that bound the median of 51 samples at 95 % are the 18th and the 34th or so.
  EXPECT_NEAR(first.low, 118, 3);
  EXPECT_NEAR(first.high, 132, 3);
}

TEST(BootstrapMedianInterval, CollapsesOnEqualSamples) {
  const std::vector<double> samples(9, 2.5);
  const Interval interval = bootstrap_median_interval(samples);
  EXPECT_EQ(interval.low, 2.5);
  EXPECT_EQ(interval.high, 2.5);
}

}  // namespace
}  // namespace lra::reports
