// Adam, AdamW and the schedules against independent formulas.
#include "engine/optimizer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <numbers>
#include <random>
#include <tuple>
#include <vector>

namespace lra::engine {
namespace {

constexpr size_t kCount = 37;

std::vector<float> random_floats(uint64_t seed, double scale) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal(0, scale);
  std::vector<float> values(kCount);
  for (float& value : values) value = static_cast<float>(normal(random));
  return values;
}

using AdamCase = std::tuple<Decay, EpsilonPlace, double>;
class AdamTest : public ::testing::TestWithParam<AdamCase> {};

/// Kingma and Ba 2015, algorithm 1, in double, with m-hat and v-hat spelled out; decay as Loshchilov and Hutter 2019.
TEST_P(AdamTest, EqualsThePublishedAlgorithm) {
  const auto [decay, place, epsilon] = GetParam();
  const AdamParams params{
      .beta2 = 0.98, .epsilon = epsilon, .weight_decay = 0.1, .decay = decay, .epsilon_place = place};
  std::vector<float> weights = random_floats(1, 1), m(kCount), v(kCount);
  std::vector<double> w(weights.begin(), weights.end()), mean(kCount), square(kCount);
  for (int64_t t = 1; t <= 20; ++t) {
    const std::vector<float> gradients = random_floats(static_cast<uint64_t>(100 + t), 0.3);
    const double rate = 0.01 / static_cast<double>(t), beta1 = 0.9;
    adam_update(params, {.number = t, .learning_rate = rate, .beta1 = beta1}, kCount, gradients.data(), weights.data(),
                m.data(), v.data());
    for (size_t i = 0; i < kCount; ++i) {
      const double g = static_cast<double>(gradients[i]) + (decay == Decay::l2 ? 0.1 * w[i] : 0.0);
      mean[i] = beta1 * mean[i] + (1 - beta1) * g;
      square[i] = 0.98 * square[i] + (1 - 0.98) * g * g;
      const double m_hat = mean[i] / (1 - std::pow(beta1, static_cast<double>(t)));
      const double v_hat = square[i] / (1 - std::pow(0.98, static_cast<double>(t)));
      const double root = place == EpsilonPlace::inside_root ? std::sqrt(v_hat + epsilon) : std::sqrt(v_hat) + epsilon;
      w[i] -= rate * m_hat / root + (decay == Decay::decoupled ? rate * 0.1 * w[i] : 0.0);
      EXPECT_NEAR(weights[i], w[i], 2e-6) << "step " << t << " weight " << i;
      EXPECT_NEAR(m[i], mean[i], 1e-6);
      EXPECT_NEAR(v[i], square[i], 1e-6);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Conventions, AdamTest,
                         ::testing::Combine(::testing::Values(Decay::l2, Decay::decoupled),
                                            ::testing::Values(EpsilonPlace::outside_root, EpsilonPlace::inside_root),
                                            ::testing::Values(1e-9, 1e-6, 0.1)));

TEST(AdamUpdateTest, TheFirstStepHasTheSizeOfTheLearningRateWhateverTheGradient) {
  for (const float gradient : {1e-3F, -2.0F, 50.0F}) {
    float weight = 1, m = 0, v = 0;
    adam_update({.epsilon = 1e-12}, {.number = 1, .learning_rate = 0.01}, 1, &gradient, &weight, &m, &v);
    EXPECT_NEAR(weight, 1 - 0.01 * (gradient > 0 ? 1 : -1), 1e-6);
  }
}

TEST(AdamUpdateTest, NoGradientAndNoDecayLeaveTheWeightAsItIs) {
  const float gradient = 0;
  float weight = 0.7F, m = 0, v = 0;
  adam_update({.epsilon = 1e-9}, {.number = 1, .learning_rate = 0.01}, 1, &gradient, &weight, &m, &v);
  EXPECT_EQ(weight, 0.7F);
}

TEST(AdamUpdateTest, AnySplitIntoRangesGivesTheSameBits) {
  const std::vector<float> gradients = random_floats(3, 1);
  const AdamParams params{.weight_decay = 0.01};
  const AdamStep step{.number = 3, .learning_rate = 0.02};
  std::vector<float> whole = random_floats(4, 1), m(kCount, 0.1F), v(kCount, 0.2F);
  std::vector<float> parts = whole, m_parts = m, v_parts = v;
  adam_update(params, step, kCount, gradients.data(), whole.data(), m.data(), v.data());
  for (const auto& [begin, end] : {std::pair<size_t, size_t>{0, 16}, {16, 21}, {21, kCount}})
    adam_update(params, step, static_cast<int64_t>(end - begin), gradients.data() + begin, parts.data() + begin,
                m_parts.data() + begin, v_parts.data() + begin);
  EXPECT_EQ(whole, parts);
  EXPECT_EQ(m, m_parts);
  EXPECT_EQ(v, v_parts);
}

std::vector<int64_t> interesting_steps(int64_t warmup, int64_t total) {
  return {0,
          1,
          warmup / 2,
          std::max<int64_t>(0, warmup - 1),
          warmup,
          std::min(warmup + 1, total - 1),
          (warmup + total) / 2,
          total - 1};
}

TEST(ScheduleTest, RsqrtIsTheLinearWarmupTimesTheInverseRoot) {
  const Schedule schedule{.kind = ScheduleKind::rsqrt, .base = 0.05, .warmup_steps = 1000, .total_steps = 5000};
  for (const int64_t step : interesting_steps(1000, 5000)) {
    const double s = static_cast<double>(step);
    EXPECT_NEAR(schedule.learning_rate(step), 0.05 * std::min(1.0, s / 1000) / std::sqrt(std::max(s, 1000.0)), 1e-15);
  }
  EXPECT_EQ(schedule.learning_rate(0), 0);
  EXPECT_NEAR(schedule.learning_rate(1000), 1.58e-3, 5e-6);  // the peak that the official configuration reaches
  EXPECT_NEAR(schedule.learning_rate(5000), 7.1e-4, 5e-6);
  EXPECT_EQ(schedule.beta1(500, 0.9), 0.9);
}

TEST(ScheduleTest, CosineStartsANewCycleAtItsEnd) {
  const Schedule schedule{
      .kind = ScheduleKind::cosine, .base = 2.0, .warmup_steps = 10, .total_steps = 300, .steps_per_cycle = 100};
  EXPECT_EQ(schedule.learning_rate(0), 0);
  EXPECT_EQ(schedule.learning_rate(5), 1.0);
  EXPECT_EQ(schedule.learning_rate(10), 2.0);
  EXPECT_NEAR(schedule.learning_rate(60), 1.0, 1e-12);
  EXPECT_NEAR(schedule.learning_rate(109), 1 + std::cos(std::numbers::pi * 0.99), 1e-12);
  EXPECT_NEAR(schedule.learning_rate(110), 2.0, 1e-12);
}

TEST(ScheduleTest, ConstantHasOnlyTheWarmup) {
  const Schedule schedule{.base = 3.0, .warmup_steps = 4, .total_steps = 10};
  EXPECT_EQ(schedule.learning_rate(0), 0);
  EXPECT_EQ(schedule.learning_rate(3), 2.25);
  EXPECT_EQ(schedule.learning_rate(4), 3.0);
  EXPECT_EQ(schedule.learning_rate(9), 3.0);
  EXPECT_EQ(Schedule{.base = 3.0}.learning_rate(0), 3.0);
}

/// torch.optim.lr_scheduler.OneCycleLR, anneal_strategy "linear": two phases that end at float(pct_start * total) - 1
/// and total - 1, the share within a phase by where it began.
double torch_onecycle(int64_t step, int64_t warmup, int64_t total, double start, double peak, double end) {
  const std::vector<std::tuple<double, double, double>> phases = {{static_cast<double>(warmup) - 1, start, peak},
                                                                  {static_cast<double>(total) - 1, peak, end}};
  double begin = 0;
  for (size_t i = 0; i < phases.size(); ++i) {
    const auto [phase_end, from, to] = phases[i];
    if (static_cast<double>(step) <= phase_end || i + 1 == phases.size())
      return from + (to - from) * ((static_cast<double>(step) - begin) / (phase_end - begin));
    begin = phase_end;
  }
  return 0;
}

TEST(ScheduleTest, OneCycleEqualsPyTorchsLearningRateAndMomentum) {
  for (const auto& [warmup, total] : {std::pair<int64_t, int64_t>{1000, 5000}, {2, 20}, {5, 20}, {19, 20}}) {
    const Schedule schedule{.kind = ScheduleKind::onecycle_linear,
                            .base = 1e-4,
                            .warmup_steps = warmup,
                            .total_steps = total,
                            .cycle_momentum = true};
    for (const int64_t step : interesting_steps(warmup, total)) {
      const double rate = torch_onecycle(step, warmup, total, 1e-4 / 25, 1e-4, 1e-4 / 25 / 1e4);
      EXPECT_NEAR(schedule.learning_rate(step), rate, 1e-18) << "warmup " << warmup << " step " << step;
      EXPECT_NEAR(schedule.beta1(step, 0.9), torch_onecycle(step, warmup, total, 0.95, 0.85, 0.95), 1e-14);
    }
    EXPECT_DOUBLE_EQ(schedule.learning_rate(0), 1e-4 / 25);
    EXPECT_DOUBLE_EQ(schedule.learning_rate(warmup - 1), 1e-4);
    EXPECT_NEAR(schedule.learning_rate(total - 1), 1e-4 / 25 / 1e4, 1e-20);
    EXPECT_DOUBLE_EQ(schedule.beta1(warmup - 1, 0.9), 0.85);
    EXPECT_DOUBLE_EQ(schedule.beta1(total - 1, 0.9), 0.95);
  }
}

TEST(ScheduleTest, OneCycleKeepsBeta1WhereItIsNotCycled) {
  const Schedule schedule{.kind = ScheduleKind::onecycle_linear, .warmup_steps = 5, .total_steps = 20};
  EXPECT_EQ(schedule.beta1(7, 0.88), 0.88);
}

TEST(ScheduleTest, DegenerateWarmupsStayFiniteAndWithinTheBounds) {
  for (const int64_t warmup : {0, 1, 19, 20, 21, 1000})
    for (const ScheduleKind kind :
         {ScheduleKind::constant, ScheduleKind::rsqrt, ScheduleKind::cosine, ScheduleKind::onecycle_linear})
      for (const int64_t total : {1, 2, 20}) {
        const Schedule schedule{.kind = kind,
                                .base = 1.0,
                                .warmup_steps = warmup,
                                .total_steps = total,
                                .steps_per_cycle = 7,
                                .cycle_momentum = true};
        for (int64_t step = 0; step <= total + 2; ++step) {
          const double rate = schedule.learning_rate(step), beta1 = schedule.beta1(step, 0.9);
          EXPECT_TRUE(rate >= 0 && rate <= 1.0) << rate;
          EXPECT_TRUE(beta1 >= 0.85 && beta1 <= 0.95) << beta1;
        }
      }
  // A warm-up as long as the run or longer rises all the way.
  const Schedule rising{.kind = ScheduleKind::onecycle_linear,
                        .base = 1.0,
                        .warmup_steps = 40,
                        .total_steps = 20,
                        .cycle_momentum = true};
  EXPECT_DOUBLE_EQ(rising.learning_rate(0), 1.0 / 25);
  EXPECT_LT(rising.learning_rate(10), rising.learning_rate(19));
  EXPECT_NEAR(rising.learning_rate(19), 1.0 / 25 + (1 - 1.0 / 25) * 19 / 39, 1e-14);
}

}  // namespace
}  // namespace lra::engine
