// Looking tokens up, and scattering gradients back.
#include "engine/ops/embedding.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/engine/op_testing.h"

namespace lra::engine::testing {
namespace {

std::vector<Var> build_embedding(std::span<const Var> inputs) { return {embedding(inputs[0], inputs[1])}; }
std::vector<Var> build_embed(std::span<const Var> inputs) { return {embed(inputs[0], inputs[1], inputs[2])}; }

std::vector<Var> build_placed(std::span<const Var> inputs) {
  return {embed(inputs[0], inputs[1], inputs[2], inputs[3])};
}

/// 23 tokens of a vocabulary of 6: every row of the table is met several times.
std::vector<Array> arguments(bool positions) {
  std::vector<Array> arrays = {normal_array({6, 9}, "table")};
  if (positions) arrays.push_back(normal_array({30, 9}, "positions"));
  arrays.push_back(index_array(23, 6, "tokens"));
  return arrays;
}

/// The same at 23 of the 30 places, each once and in no order.
std::vector<Array> placed_arguments() {
  std::vector<Array> arrays = arguments(true);
  arrays.push_back(index_array(23, 30, "places"));
  for (size_t i = 0; i < 23; ++i) arrays[3].values[i] = static_cast<double>(i * 7 % 30);
  return arrays;
}

TEST(EmbeddingTest, FusedEqualsPlainAndAccumulates) {
  expect_fused_equals_plain(build_embedding, arguments(false), 1e-6);
  expect_fused_equals_plain(build_embed, arguments(true), 1e-6);
  expect_fused_equals_plain(build_placed, placed_arguments(), 1e-6);
}

TEST(EmbeddingTest, GradientsEqualFiniteDifferences) {
  expect_gradients(build_embedding, arguments(false));
  expect_gradients(build_embed, arguments(true));
  expect_gradients(build_placed, placed_arguments());
}

TEST(EmbeddingTest, RowsAreThoseOfTheTokensPlusThoseOfThePositions) {
  const std::vector<Array> arrays = arguments(true);
  const std::vector<double> y = evaluate(build_embed, arrays, {})[0];
  for (size_t i = 0; i < 23; ++i) {
    const auto token = static_cast<size_t>(arrays[2].values[i]);
    for (size_t j = 0; j < 9; ++j)
      EXPECT_EQ(y[i * 9 + j], arrays[0].values[token * 9 + j] + arrays[1].values[i * 9 + j]);
  }
}

TEST(EmbeddingTest, PlacesChooseThePositions) {
  std::vector<Array> arrays = placed_arguments();
  arrays[3].values[4] = 30;
  arrays[3].values[5] = -1;
  const std::vector<double> y = evaluate(build_placed, arrays, {})[0];
  for (size_t i = 0; i < 23; ++i) {
    const auto token = static_cast<size_t>(arrays[2].values[i]);
    for (size_t j = 0; j < 9; ++j) {
      if (i == 4 || i == 5) {
        EXPECT_TRUE(std::isnan(y[i * 9 + j]));
      } else {
        EXPECT_EQ(y[i * 9 + j], arrays[0].values[token * 9 + j] + arrays[1].values[i * 7 % 30 * 9 + j]);
      }
    }
  }
}

TEST(EmbeddingTest, PositionsBeyondTheSequenceGetNoGradient) {
  const Values found = gradients(build_embed, arguments(true), {});
  for (size_t i = 23 * 9; i < 30 * 9; ++i) EXPECT_EQ(found[1][i], 0);
}

TEST(EmbeddingTest, ATokenOutsideTheTableGivesNaNAndNoGradient) {
  std::vector<Array> arrays = arguments(false);
  arrays[1].values[4] = 6;
  arrays[1].values[5] = -1;
  const std::vector<double> y = evaluate(build_embedding, arrays, {})[0];
  for (size_t i = 0; i < 23; ++i) EXPECT_EQ(std::isnan(y[i * 9]), i == 4 || i == 5);
  const Values slopes = gradients(build_embedding, arrays, {});
  for (const double slope : slopes[0]) EXPECT_TRUE(std::isfinite(slope));
}

TEST(EmbeddingTest, RefusesTooFewPositions) {
  Parameters parameters;
  Graph graph(Dtype::f32, Kernels::fused, parameters);
  const Var table = graph.input("table", {Dtype::f32, {6, 9}}), positions = graph.input("p", {Dtype::f32, {22, 9}});
  EXPECT_THROW(embed(table, positions, graph.input("tokens", {Dtype::i32, {23}})), std::logic_error);
}

}  // namespace
}  // namespace lra::engine::testing
