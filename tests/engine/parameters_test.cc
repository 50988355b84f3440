// Parameters: declaration, layout, and initial values that depend on nothing but the seed and the name.
#include "engine/parameters.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace lra::engine {
namespace {

std::vector<double> initial(const Parameters& parameters, const std::string& name, uint64_t seed) {
  std::vector<double> flat(static_cast<size_t>(parameters.flat_elements()));
  parameters.initialize<double>(seed, flat);
  for (const Parameter& parameter : parameters.list())
    if (parameter.name == name)
      return {flat.begin() + parameter.offset, flat.begin() + parameter.offset + parameter.shape.elements()};
  return {};
}

std::vector<double> drawn(const Initializer& initializer, const Shape& shape) {
  Parameters parameters;
  parameters.declare("w", shape, initializer);
  return initial(parameters, "w", 1);
}

double mean(const std::vector<double>& x) { return std::accumulate(x.begin(), x.end(), 0.0) / double(x.size()); }
double deviation(const std::vector<double>& x) {
  const double centre = mean(x);
  double sum = 0;
  for (const double value : x) sum += (value - centre) * (value - centre);
  return std::sqrt(sum / double(x.size()));
}
double largest(const std::vector<double>& x) {
  double most = 0;
  for (const double value : x) most = std::max(most, std::fabs(value));
  return most;
}

TEST(ParametersTest, InitialValuesDependOnSeedAndNameAlone) {
  Parameters first, second;
  first.declare("a", {3, 5}, init_normal(1));
  first.declare("b", {7}, init_normal(1));
  second.declare("z", {100}, init_normal(1));
  second.declare("b", {7}, init_normal(1));
  second.declare("a", {3, 5}, init_normal(1));
  EXPECT_EQ(initial(first, "a", 4), initial(second, "a", 4));
  EXPECT_EQ(initial(first, "b", 4), initial(second, "b", 4));
  EXPECT_NE(initial(first, "b", 4), initial(first, "b", 5));
  std::vector<double> prefix = initial(first, "a", 4);
  prefix.resize(7);
  EXPECT_NE(prefix, initial(first, "b", 4)) << "two names, one stream";
}

TEST(ParametersTest, SinglePrecisionIsDoublePrecisionRounded) {
  Parameters parameters;
  parameters.declare("a", {40}, init_normal(0.02));
  std::vector<float> narrow(static_cast<size_t>(parameters.flat_elements()));
  parameters.initialize<float>(9, narrow);
  const std::vector<double> wide = initial(parameters, "a", 9);
  for (size_t i = 0; i < wide.size(); ++i) EXPECT_EQ(narrow[i], static_cast<float>(wide[i]));
}

TEST(ParametersTest, DrawsHaveTheStatedDistribution) {
  const Shape shape{400, 250};
  const std::vector<double> normal = drawn(init_normal(0.02), shape);
  EXPECT_NEAR(mean(normal), 0, 4 * 0.02 / std::sqrt(1e5));
  EXPECT_NEAR(deviation(normal), 0.02, 4 * 0.02 / std::sqrt(2e5));
  EXPECT_GT(largest(normal), 0.02 * 3.5);

  const double xavier_bound = std::sqrt(6.0 / (400 + 250)), torch_bound = 1 / std::sqrt(400.0);
  for (const auto& [values, bound] : {std::pair(drawn(init_xavier_uniform(400, 250), shape), xavier_bound),
                                      std::pair(drawn(init_torch_linear(400), shape), torch_bound)}) {
    EXPECT_NEAR(mean(values), 0, 4 * bound / std::sqrt(3e5));
    EXPECT_NEAR(deviation(values), bound / std::sqrt(3.0), 0.01 * bound);
    EXPECT_LE(largest(values), bound);
    EXPECT_GT(largest(values), 0.999 * bound);
  }
  const std::vector<double> constant = drawn(init_constant(1.5), {3});
  EXPECT_EQ(constant, (std::vector<double>{1.5, 1.5, 1.5}));
}

TEST(ParametersTest, EachStartsAtAMultipleOfSixteenAndGapsStayZero) {
  Parameters parameters;
  EXPECT_EQ(parameters.declare("a", {3}, init_constant(1)), 0);
  EXPECT_EQ(parameters.declare("b", {4, 4}, init_constant(2)), 1);
  EXPECT_EQ(parameters.declare("c", {}, init_constant(3)), 2);
  EXPECT_EQ(parameters[1].offset, 16);
  EXPECT_EQ(parameters[2].offset, 32);
  EXPECT_EQ(parameters.flat_elements(), 48);
  EXPECT_EQ(parameters.learned_elements(), 3 + 16 + 1);
  std::vector<double> flat(48, 7.0);
  parameters.initialize<double>(1, flat);
  EXPECT_EQ(std::count(flat.begin(), flat.end(), 0.0), 13 + 15);
  std::vector<double> wrong(47);
  EXPECT_THROW(parameters.initialize<double>(1, wrong), std::logic_error);
}

TEST(ParametersTest, DeclaringAKnownNameGivesTheKnownParameter) {
  Parameters parameters;
  const int32_t index = parameters.declare("a", {3}, init_constant(1));
  EXPECT_EQ(parameters.declare("a", {3}, init_constant(2)), index);
  EXPECT_EQ(parameters.count(), 1);
  EXPECT_THROW(parameters.declare("a", {4}, init_constant(1)), std::logic_error);
}

}  // namespace
}  // namespace lra::engine
