// Random graphs: plans equal the interpreter, gradients equal directional differences, whatever the planner shares.
#include <gtest/gtest.h>

#include <array>
#include <random>

#include "engine/ops/activations.h"
#include "engine/ops/dropout.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/layer_norm.h"
#include "engine/ops/matmul.h"
#include "engine/ops/reduce.h"
#include "engine/ops/shape.h"
#include "tests/engine/plan_testing.h"

namespace lra::engine::testing {
namespace {

/// Grows a graph from [n, 4], [n, 4], [4, 4] and [4] by random operations; the same seed grows the same graph.
class Grower {
 public:
  explicit Grower(uint64_t seed) : random_(seed) {}

  /// The objective first, then values that are outputs besides.
  std::vector<Var> grow(std::span<const Var> arguments) {
    pool_.assign(arguments.begin(), arguments.end());
    rows_ = arguments[0].shape()[0];
    weight_ = arguments[2];
    bias_ = arguments[3];
    const int operations = 6 + below(20);
    for (int i = 0; i < operations; ++i) step();
    Var objective = total(pool_.back());
    std::vector<Var> results = {objective};
    for (int i = 0; i < 3; ++i) {
      const Var value = any();
      results[0] = add(results[0], total(value));
      if (below(2)) results.push_back(value);
    }
    return results;
  }

 private:
  int below(int bound) { return static_cast<int>(random_() % static_cast<uint64_t>(bound)); }
  Var any() { return pool_[static_cast<size_t>(below(static_cast<int>(pool_.size())))]; }
  /// A value of the shape, near the end of the pool more often than not; not valid() when there is none.
  Var like(const Shape& shape) {
    std::vector<Var> fitting;
    for (const Var& var : pool_)
      if (var.shape() == shape) fitting.push_back(var);
    return fitting.empty() ? Var() : fitting[static_cast<size_t>(below(static_cast<int>(fitting.size())))];
  }
  Var total(Var x) {
    x = multiply(x, tanh(affine(x, 0.5, 0.1)));
    return sum_to(x, {});
  }
  void keep(Var x) {
    if (x.shape().rank() > 0 && x.shape().elements() <= 64 * rows_) pool_.push_back(x);
  }

  void step() {
    const Var x = any();
    const Shape& shape = x.shape();
    const int rank = shape.rank();
    switch (below(24)) {
      case 0:
        return keep(tanh(x));
      case 1:
        return keep(sigmoid(x));
      case 2:
        return keep(affine(x, -0.7, 0.2));
      case 3:
        return keep(softmax(x));
      case 4:
      case 5:
        return keep(add(x, like(shape)));
      case 6:
        return keep(subtract(like(shape), x));
      case 7:
        return keep(multiply(tanh(x), like(shape)));
      case 8:
        return keep(divide(x, affine(square(like(shape)), 1, 1)));
      case 9:
        return keep(add(x, sum(like(shape), below(rank), true)));
      case 10:
        return keep(rank > 1 ? transpose(x, below(rank), below(rank)) : reshape(x, {shape[0], 1}));
      case 11:
        return keep(sum(x, below(rank), below(2) == 0));
      case 12:
        return cut(x);
      case 13: {
        const std::array parts = {x, like(shape), tanh(x)};
        return keep(concat(std::span(parts).first(static_cast<size_t>(2 + below(2))), below(rank)));
      }
      case 14:
        return keep(reshape(x, {shape.elements()}));
      case 15:
        if (rank == 2 && shape[1] % 2 == 0) return keep(split_heads(x, 2));
        if (rank == 3) return keep(merge_heads(below(2) ? x : tanh(x)));
        return;
      case 16:
        if (rank == 2) return keep(layer_norm(x, sum(like(shape), 0, false), sum(like(shape), 0, false), 0.1));
        return;
      case 17:
      case 18:
        if (rank == 2 && shape[1] == 4) return keep(linear(x, weight_, bias_));
        return;
      case 19:
        if (rank == 2) return keep(gelu_dropout(x, Gelu::erf, 0.25, 77));
        return;
      case 20:
        if (rank == 2) return keep(add_dropout(like(shape), x, 0.25, 78));
        return;
      default:
        return products(x);
    }
  }

  void cut(Var x) {
    const int axis = below(x.shape().rank());
    const int64_t extent = x.shape()[axis];
    if (extent % 2 == 0) {
      for (const Var& part : split(x, 2, axis)) keep(part);
    } else if (extent > 1) {
      keep(slice(x, axis, 1, extent));
    }
  }

  /// Products that may end in sums: what the planner lets kernels add in place.
  void products(Var x) {
    if (x.shape().rank() != 2 && x.shape().rank() != 3) return;
    const Var y = like(x.shape());
    const Var product = affine(matmul(x, y, false, true), 0.3, 0);
    keep(product);
    const Var other = matmul(tanh(y), x, false, true), plain = matmul(x, y, false, true);
    switch (below(4)) {
      case 0:
        return keep(add(other, plain));
      case 1:
        return keep(add(add(product, other), plain));
      case 2:
        keep(add(plain, other));
        return keep(add(plain, matmul(x, x, false, true)));  // `plain` is read after the first sum
      default:
        return keep(matmul(softmax(product), x));
    }
  }

  std::mt19937_64 random_;
  std::vector<Var> pool_;
  int64_t rows_ = 0;
  Var weight_, bias_;
};

std::vector<Array> arguments(int64_t rows = 4) {
  return {normal_array({rows, 4}, "a"), normal_array({rows, 4}, "b"), normal_array({4, 4}, "c"),
          normal_array({4}, "d")};
}

Builder builder(uint64_t seed) {
  return [seed](std::span<const Var> in) { return Grower(seed).grow(in); };
}

/// Largest difference relative to the largest element of each array.
double difference(const Values& got, const Values& expected) {
  double worst = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    double scale = 1;
    for (const double value : expected[i]) scale = std::max(scale, std::fabs(value));
    for (size_t j = 0; j < expected[i].size(); ++j) {
      const double error = std::fabs(got[i][j] - expected[i][j]) / scale;
      worst = error <= worst ? worst : error;  // a NaN is worse than anything
    }
  }
  return worst;
}

TEST(RandomGraphsTest, PlansEqualTheInterpreter) {
  for (uint64_t seed = 0; seed < 400; ++seed)
    for (const bool as_parameters : {false, true}) {
      Planned planned(builder(seed), arguments(), true, {.as_parameters = as_parameters});
      ASSERT_LE(difference(planned.run(arguments()), planned.interpret(arguments())), 1e-10)
          << "seed " << seed << " parameters " << as_parameters;
    }
}

TEST(RandomGraphsTest, GradientsEqualDirectionalDifferences) {
  const std::vector<Array> at = arguments();
  constexpr double kStep = 1e-5;
  for (uint64_t seed = 0; seed < 400; ++seed) {
    Planned planned(builder(seed), at, true), forward(builder(seed), at, false);
    const Values values = planned.run(at);
    std::vector<Array> above = at, below = at;
    double slope = 0, size = 1;
    for (size_t i = 0; i < at.size(); ++i) {
      const std::vector<double>& gradient = values[values.size() - at.size() + i];
      const std::vector<double> direction = normal_array(at[i].shape, fmt::format("direction{}", i)).values;
      for (size_t j = 0; j < direction.size(); ++j) {
        above[i].values[j] += kStep * direction[j];
        below[i].values[j] -= kStep * direction[j];
        slope += gradient[j] * direction[j];
        size += std::fabs(gradient[j]);
      }
    }
    const double measured =
        (forward.run(above)[0][0] - forward.run(below)[0][0]) / (2 * kStep) * objective_weights({})[0];
    ASSERT_NEAR(slope / size, measured / size, 1e-6) << "seed " << seed;
  }
}

TEST(RandomGraphsTest, SinglePrecisionPlansEqualDoublePrecision) {
  for (uint64_t seed = 0; seed < 60; ++seed) {
    const Values expected = Planned(builder(seed), arguments(), true).run(arguments());
    for (const Kernels kernels : {Kernels::plain, Kernels::fused})
      for (const bool as_parameters : {false, true}) {
        Planned narrow(builder(seed), arguments(), true, {Dtype::f32, kernels, as_parameters});
        ASSERT_LE(difference(narrow.run(arguments()), expected), 1e-3) << "seed " << seed;
      }
  }
}

TEST(RandomGraphsTest, TallGraphsEqualTheInterpreter) {
  // More rows than any kernel or pipeline takes at once, and a remainder.
  const std::vector<Array> tall = arguments(300);
  for (uint64_t seed = 1000; seed < 1030; ++seed) {
    const Values expected = Planned(builder(seed), tall, true).interpret(tall);
    for (const bool as_parameters : {false, true}) {
      Planned wide(builder(seed), tall, true, {.as_parameters = as_parameters});
      Planned narrow(builder(seed), tall, true, {Dtype::f32, Kernels::fused, as_parameters});
      ASSERT_LE(difference(wide.run(tall), expected), 1e-10) << "seed " << seed;
      ASSERT_LE(difference(narrow.run(tall), expected), 5e-3) << "seed " << seed;
    }
  }
}

TEST(RandomGraphsTest, TeamsGiveTheBitsOfOneThread) {
  // Three groups of blocks, the last of them not full.
  const std::vector<Array> tall = arguments(2 * PipelineGroups::kFewestRows + 300);
  int divisible = 0;
  for (uint64_t seed = 2000; seed < 2016; ++seed) {
    for (const bool as_parameters : {false, true}) {
      Planned planned(builder(seed), tall, true, {Dtype::f32, Kernels::fused, as_parameters});
      const Values alone = planned.run(tall);
      for (const int members : {2, 3, 5})
        ASSERT_EQ(planned.run(tall, members), alone) << "seed " << seed << ", " << members << " members";
      divisible += planned.plan().is_divisible() ? 1 : 0;
      Planned plain(builder(seed), tall, true, {Dtype::f32, Kernels::plain, as_parameters});
      ASSERT_EQ(plain.run(tall, 2), plain.run(tall)) << "seed " << seed;
    }
  }
  EXPECT_GT(divisible, 10);
}

TEST(RandomGraphsTest, RunningAgainGivesTheSameBits) {
  for (uint64_t seed = 0; seed < 40; ++seed) {
    Planned planned(builder(seed), arguments(), true, {.dtype = Dtype::f32, .kernels = Kernels::fused});
    const Values first = planned.run(arguments());
    EXPECT_EQ(planned.run(arguments()), first) << "seed " << seed;
    Planned again(builder(seed), arguments(), true, {.dtype = Dtype::f32, .kernels = Kernels::fused});
    EXPECT_EQ(again.run(arguments()), first) << "seed " << seed;
  }
}

}  // namespace
}  // namespace lra::engine::testing
