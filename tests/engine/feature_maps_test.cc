// Feature maps against their formulas in double: values, gradients, strides, positions.
#include "engine/ops/feature_maps.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <random>
#include <vector>

#include "tests/engine/nan.h"

namespace lra::engine {
namespace {

constexpr int64_t kGap = 3;

/// Rows of random numbers, some large, some zero, with a gap after each row.
std::vector<float> rows_of(int64_t rows, int64_t width, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0F, 3.0F);
  std::vector<float> x(static_cast<size_t>(rows * (width + kGap)), kNaN);
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t j = 0; j < width; ++j) x[static_cast<size_t>(row * (width + kGap) + j)] = normal(random);
  }
  x[0] = 0.0F;
  x[static_cast<size_t>(width - 1)] = -95.0F;
  return x;
}

struct Point {
  double value;
  double slope;
};

/// Compares forward and backward of rows at `positions` with `definition(position, copy, x)`.
template <class Definition>
void expect_matches(const FeatureMap& map, const RowPositions& positions, int64_t rows, int64_t d_head,
                    Definition&& definition) {
  const int64_t stride = d_head + kGap;
  const int64_t features = map.features(d_head);
  const std::vector<float> x = rows_of(rows, d_head, 5);
  std::vector<float> f(static_cast<size_t>(rows * features), kNaN);
  map.forward(positions, rows, d_head, x.data(), stride, f.data());
  std::vector<float> df(f.size());
  for (size_t i = 0; i < df.size(); ++i) df[i] = static_cast<float>(i % 7) - 3.0F;
  std::vector<float> dx(x.size(), kNaN);
  map.backward(positions, rows, d_head, x.data(), stride, df.data(), dx.data(), stride);

  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t j = 0; j < d_head; ++j) {
      const auto at = static_cast<size_t>(row * stride + j);
      double gradient = 0;
      for (int64_t copy = 0; copy * d_head < features; ++copy) {
        const auto feature = static_cast<size_t>(row * features + copy * d_head + j);
        const Point want = definition(positions[row], copy, double{x[at]});
        EXPECT_NEAR(f[feature], want.value, 3e-7 * (1 + std::abs(want.value))) << "x " << x[at];
        gradient += want.slope * double{df[feature]};
      }
      EXPECT_NEAR(dx[at], gradient, 2e-6) << "x " << x[at];
    }
    for (int64_t j = d_head; j < stride; ++j) EXPECT_TRUE(std::isnan(dx[static_cast<size_t>(row * stride + j)]));
  }
}

TEST(EluFeaturesTest, MatchTheFormula) {
  for (const int64_t d_head : {1, 5, 16, 32, 33, 64}) {
    EXPECT_EQ(elu_plus_one_features()->features(d_head), d_head);
    expect_matches(*elu_plus_one_features(), {}, 9, d_head, [](int64_t, int64_t, double x) {
      return x > 0 ? Point{x + 1, 1.0} : Point{std::exp(x), std::exp(x)};
    });
  }
}

TEST(CosineFeaturesTest, MatchTheFormulaWithPositionsFromOne) {
  constexpr int64_t kNominal = 100;
  const auto map = cosine_features(kNominal);
  EXPECT_EQ(map->positions(), kNominal);
  for (const int64_t d_head : {1, 5, 16, 32, 33, 64}) {
    EXPECT_EQ(map->features(d_head), 2 * d_head);
    constexpr int32_t kListed[] = {0, 1, 5, 6, 40, 41, 42, 98, 99};
    for (const RowPositions& positions : {RowPositions{.first = 0}, RowPositions{.first = 17},
                                          RowPositions{.first = 91}, RowPositions{.listed = kListed}}) {
      expect_matches(*map, positions, 9, d_head, [](int64_t i, int64_t copy, double x) {
        const double theta = std::numbers::pi * static_cast<double>(i + 1) / (2.0 * kNominal);
        const double factor = copy == 0 ? std::sin(theta) : std::cos(theta);
        return x > 0 ? Point{x * factor, factor} : Point{0.0, 0.0};
      });
    }
  }
}

TEST(CosineFeaturesTest, LastPositionHasNoCosineLeft) {
  const auto map = cosine_features(8);
  const float x = 2.0F;
  float f[2];
  map->forward({.first = 7}, 1, 1, &x, 1, f);
  EXPECT_FLOAT_EQ(f[0], 2.0F);
  EXPECT_NEAR(f[1], 0.0F, 1e-7);
}

TEST(FeatureMapsTest, KeepNaNsVisible) {
  const float x = kNaN;
  float f[2] = {0, 0};
  elu_plus_one_features()->forward({}, 1, 1, &x, 1, f);
  EXPECT_TRUE(std::isnan(f[0]));
  cosine_features(4)->forward({}, 1, 1, &x, 1, f);
  EXPECT_TRUE(std::isnan(f[0]) && std::isnan(f[1]));
}

TEST(FeatureMapsTest, CosineOverNoPositionsIsRefused) { EXPECT_ANY_THROW(cosine_features(0)); }

}  // namespace
}  // namespace lra::engine
