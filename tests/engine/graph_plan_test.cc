// Graphs and plans: what is shared, packed, sunk and skipped, and that none of it shows in the numbers.
#include "engine/graph.h"

#include <gtest/gtest.h>

#include <array>

#include "engine/ops/elementwise.h"
#include "engine/ops/embedding.h"
#include "engine/ops/layer_norm.h"
#include "engine/ops/matmul.h"
#include "engine/ops/reduce.h"
#include "engine/ops/shape.h"
#include "tests/engine/plan_testing.h"

namespace lra::engine::testing {
namespace {

std::vector<Array> arrays(std::initializer_list<Shape> shapes) {
  std::vector<Array> made;
  for (const Shape& shape : shapes) made.push_back(normal_array(shape, fmt::format("array{}", made.size())));
  return made;
}

/// Expects what the plan computes in poisoned memory to be what the interpreter computes; returns its steps.
size_t steps_of_checked_plan(const Builder& build, const std::vector<Array>& arguments, bool gradients = false,
                             bool as_parameters = false) {
  Planned planned(build, arguments, gradients, {.as_parameters = as_parameters});
  expect_close(planned.run(arguments), planned.interpret(arguments), 1e-13, "plan");
  return planned.plan().steps();
}

TEST(PlanTest, DeadCodeIsNotPlanned) {
  const Builder build = [](std::span<const Var> in) {
    exp(matmul(in[0], in[0]));
    return std::vector<Var>{tanh(in[0])};
  };
  EXPECT_EQ(steps_of_checked_plan(build, arrays({{4, 4}})), 1U);
}

TEST(PlanTest, OutputsMayBeInputsParametersConstantsAndWindows) {
  const Builder build = [](std::span<const Var> in) {
    const Var y = exp(in[0]);
    return std::vector<Var>{in[0],
                            transpose(in[0]),
                            y,
                            transpose(y),
                            slice(y, 1, 1, 3),
                            reshape(y, {2, 8}),
                            split_heads(y, 2),
                            y.graph().constant("c", {2}, {1, 2})};
  };
  steps_of_checked_plan(build, arrays({{4, 4}}));
  steps_of_checked_plan(build, arrays({{4, 4}}), false, true);
}

TEST(PlanTest, OutputsThatAreCopiedLastDoNotOverwriteOneAnother) {
  // Windows that must be made contiguous are copied after the last node, when memory seems free again.
  const Builder build = [](std::span<const Var> in) {
    const Var a = exp(in[0]), b = tanh(in[0]), c = square(in[0]);
    return std::vector<Var>{a, transpose(b), c, transpose(c), transpose(in[0]), sum(a, 0, true), transpose(a)};
  };
  for (const int64_t n : {2, 5, 16, 33}) steps_of_checked_plan(build, arrays({{n, n + 1}}));
}

TEST(PlanTest, OutputsThatAreReadLaterKeepTheirContent) {
  const Builder build = [](std::span<const Var> in) {
    const Var first = matmul(in[0], in[1]), second = add(first, matmul(in[1], in[0]));
    return std::vector<Var>{first, second, add(second, matmul(in[0], in[0])), second};
  };
  steps_of_checked_plan(build, arrays({{4, 4}, {4, 4}}));
}

TEST(PlanTest, SumsOfProductsAreAddedInPlace) {
  const Builder chain = [](std::span<const Var> in) {
    Var sum = matmul(in[0], in[1]);
    for (int i = 0; i < 4; ++i) sum = add(sum, matmul(in[1], in[0]));
    return std::vector<Var>{sum};
  };
  EXPECT_EQ(steps_of_checked_plan(chain, arrays({{4, 4}, {4, 4}})), 5U);
  const Builder reversed = [](std::span<const Var> in) {
    const Var kept = exp(in[0]);
    return std::vector<Var>{add(matmul(in[0], in[1]), kept)};  // the product stands left
  };
  EXPECT_EQ(steps_of_checked_plan(reversed, arrays({{4, 4}, {4, 4}})), 2U);
}

TEST(PlanTest, SumsAreNotInPlaceWhenTheOldContentIsStillWanted) {
  const std::vector<Builder> cases = {
      // Read after the product has run.
      [](std::span<const Var> in) {
        const Var kept = exp(in[0]), sum = add(kept, matmul(in[0], in[1]));
        return std::vector<Var>{sum, tanh(kept)};
      },
      // Read by the product itself.
      [](std::span<const Var> in) {
        const Var kept = exp(in[0]);
        return std::vector<Var>{add(kept, matmul(kept, in[1]))};
      },
      // Read by the product through a window.
      [](std::span<const Var> in) {
        const Var kept = exp(in[0]);
        return std::vector<Var>{add(kept, matmul(transpose(kept), in[1]))};
      },
      // A window made before, read after.
      [](std::span<const Var> in) {
        const Var kept = exp(in[0]), window = slice(kept, 0, 1, 3);
        const Var sum = add(kept, matmul(in[0], in[1]));
        return std::vector<Var>{sum, exp(window)};
      },
      // The product is wanted itself.
      [](std::span<const Var> in) {
        const Var product = matmul(in[0], in[1]);
        return std::vector<Var>{add(exp(in[0]), product), tanh(product)};
      },
      // The product is added twice, to itself too.
      [](std::span<const Var> in) {
        const Var product = matmul(in[0], in[1]);
        return std::vector<Var>{add(product, product), add(exp(in[0]), product)};
      },
      // The kept value is an output, a packed piece, an input, or a sum of another shape.
      [](std::span<const Var> in) {
        const Var kept = exp(in[0]);
        return std::vector<Var>{add(kept, matmul(in[0], in[1])), kept};
      },
      [](std::span<const Var> in) {
        const Var kept = exp(in[0]), sum = add(kept, matmul(in[0], in[1]));
        return std::vector<Var>{concat(std::array{kept, sum}, 0), sum};
      },
      [](std::span<const Var> in) {
        return std::vector<Var>{add(in[0], matmul(in[0], in[1])), in[0]};
      },
      [](std::span<const Var> in) {
        const Var row = sum(in[0], 0, true), kept = exp(in[0]);
        const Var whole = matmul(in[0], in[1]), thin = matmul(slice(in[0], 0, 0, 1), in[1]);
        return std::vector<Var>{add(row, whole), add(kept, thin)};
      },
      // The kept value is used by an earlier sum in place.
      [](std::span<const Var> in) {
        const Var kept = exp(in[0]), one = matmul(in[0], in[1]), two = matmul(in[1], in[0]);
        return std::vector<Var>{add(add(kept, one), two), add(kept, matmul(in[1], in[1]))};
      },
  };
  for (size_t i = 0; i < cases.size(); ++i) {
    SCOPED_TRACE(i);
    steps_of_checked_plan(cases[i], arrays({{4, 4}, {4, 4}}));
    steps_of_checked_plan(cases[i], arrays({{4, 4}, {4, 4}}), true);
    steps_of_checked_plan(cases[i], arrays({{4, 4}, {4, 4}}), true, true);
  }
}

TEST(PlanTest, PiecesArePackedUnlessTheyMustLieElsewhere) {
  const std::vector<Builder> cases = {
      // Used besides; an output besides; twice in one pack; in two packs; windows, inputs and constants.
      [](std::span<const Var> in) {
        const Var piece = exp(in[0]);
        return std::vector<Var>{concat(std::array{piece, in[1]}, 1), matmul(piece, in[1]), transpose(piece)};
      },
      [](std::span<const Var> in) {
        const Var piece = exp(in[0]);
        return std::vector<Var>{concat(std::array{piece, in[1]}, 0), piece};
      },
      [](std::span<const Var> in) {
        const Var piece = exp(in[0]);
        return std::vector<Var>{concat(std::array{piece, piece, piece}, 1)};
      },
      [](std::span<const Var> in) {
        const Var piece = exp(in[0]);
        return std::vector<Var>{concat(std::array{piece, in[1]}, 1), concat(std::array{in[1], piece}, 1)};
      },
      [](std::span<const Var> in) {
        const Var constant = in[0].graph().constant("c", {4, 4}, std::vector<double>(16, 2.0));
        return std::vector<Var>{concat(std::array{transpose(exp(in[0])), in[0], constant, softmax(in[1])}, 1)};
      },
      // Packs of packs, and sums that would lie inside one.
      [](std::span<const Var> in) {
        const Var inner = concat(std::array{exp(in[0]), tanh(in[1])}, 1);
        return std::vector<Var>{concat(std::array{inner, concat(std::array{square(in[0]), exp(in[1])}, 1)}, 0)};
      },
      [](std::span<const Var> in) {
        const Var sum = add(exp(in[0]), matmul(in[0], in[1]));
        return std::vector<Var>{concat(std::array{sum, matmul(in[1], in[1])}, 1)};
      },
      [](std::span<const Var> in) {
        const Var heads = matmul(split_heads(in[0], 2), split_heads(in[1], 2), false, true);
        return std::vector<Var>{merge_heads(matmul(heads, split_heads(in[1], 2))), merge_heads(softmax(heads))};
      },
      [](std::span<const Var> in) {  // a packed column is no contiguous vector
        const Var column = sum(in[0], 1, true);
        return std::vector<Var>{concat(std::array{in[1], column}, 1), reshape(column, {4}), matmul(in[1], column)};
      },
      [](std::span<const Var> in) {  // reductions and normalisations write into strided pieces
        const Var gamma = sum(in[0], 0, false);
        return std::vector<Var>{
            concat(std::array{layer_norm(in[0], gamma, gamma, 0.1), sum(in[1], 1, true), max(in[0], 1, true)}, 1)};
      },
  };
  for (size_t i = 0; i < cases.size(); ++i) {
    SCOPED_TRACE(i);
    for (const bool gradients : {false, true})
      for (const bool as_parameters : {false, true})
        steps_of_checked_plan(cases[i], arrays({{4, 4}, {4, 4}}), gradients, as_parameters);
  }
}

TEST(PlanTest, GradientsOfParametersAreAddedByTheirKernels) {
  const Builder layer = [](std::span<const Var> in) { return std::vector<Var>{linear(in[0], in[1], in[2])}; };
  Planned planned(layer, arrays({{5, 4}, {4, 3}, {3}}), true, {.as_parameters = true});
  // Forward, the gradient of x, of w and of b: products and a column sum write to the lane's sums themselves.
  EXPECT_EQ(planned.plan().steps(), 4U);
  EXPECT_EQ(planned.plan().backward_begin(), 1U);
}

TEST(PlanTest, GradientsThatSeveralParametersShareReachAllOfThem) {
  const Builder build = [](std::span<const Var> in) { return std::vector<Var>{add(add(in[0], in[1]), in[0])}; };
  steps_of_checked_plan(build, arrays({{3, 4}, {3, 4}}), true, true);
  const Builder windows = [](std::span<const Var> in) {
    return std::vector<Var>{matmul(transpose(in[0]), concat(std::array{in[1], in[0]}, 1))};
  };
  steps_of_checked_plan(windows, arrays({{3, 4}, {3, 4}}), true, true);
}

TEST(PlanTest, RepeatedTokensAddUpInTheTableOfTheLane) {
  std::vector<Array> arguments = arrays({{6, 4}, {9, 4}});
  arguments.push_back(index_array(8, 6, "tokens"));
  const Builder build = [](std::span<const Var> in) { return std::vector<Var>{tanh(embed(in[0], in[1], in[2]))}; };
  expect_operation(build, arguments);
}

TEST(PlanTest, ConstantsAreKeptOnceAndOnlyWhereTheyAreUsed) {
  const Builder build = [](std::span<const Var> in) {
    in[0].graph().constant("unused", {1000}, std::vector<double>(1000, 1.0));
    const Var used = in[0].graph().constant("used", {4}, {1, 2, 3, 4});
    return std::vector<Var>{multiply(add(in[0], used), used)};
  };
  EXPECT_EQ(Planned(build, arrays({{2, 4}}), false).plan().constant_bytes(), 4 * 8);
}

TEST(PlanTest, MemoryOfAChainDoesNotGrowWithItsLength) {
  const auto bytes = [](int length) {
    const Builder build = [=](std::span<const Var> in) {
      Var x = in[0];
      for (int i = 0; i < length; ++i) x = tanh(x);
      return std::vector<Var>{x};
    };
    return Planned(build, arrays({{16, 16}}), false).plan().arena_bytes();
  };
  EXPECT_EQ(bytes(3), bytes(50));
  EXPECT_EQ(bytes(3), 2 * 16 * 16 * 8);
}

TEST(PlanTest, APartOfThePlanCanBeRunAfterTheOther) {
  const Builder build = [](std::span<const Var> in) { return std::vector<Var>{tanh(matmul(in[0], in[1]))}; };
  const std::vector<Array> arguments = arrays({{4, 4}, {4, 4}});
  const Planned planned(build, arguments, true);
  EXPECT_GT(planned.plan().backward_begin(), 0U);
  EXPECT_LT(planned.plan().backward_begin(), planned.plan().steps());
  for (size_t i = 0; i < planned.plan().steps(); ++i) {
    const int32_t node = planned.plan().step(i).node;
    if (node < 0) continue;
    EXPECT_EQ(planned.graph().nodes()[static_cast<size_t>(node)].backward, i >= planned.plan().backward_begin());
  }
}

TEST(GraphTest, RefusesMixedGraphsWrongConstantsAndUnknownOutputs) {
  Parameters parameters;
  Graph graph(Dtype::f32, Kernels::plain, parameters), other(Dtype::f32, Kernels::plain, parameters);
  const Var x = graph.input("x", {Dtype::f32, {2}}), y = other.input("y", {Dtype::f32, {2}});
  EXPECT_THROW(add(x, y), std::logic_error);
  EXPECT_THROW(add(x, Var()), std::logic_error);
  EXPECT_THROW(graph.constant("c", {3}, {1, 2}), std::logic_error);
  const int32_t index = parameters.declare("w", {3}, init_constant(0));
  EXPECT_THROW(graph.accumulate_gradient(index, x), std::logic_error);
  graph.mark_output("y", exp(x));
  EXPECT_THROW(Plan(graph).output("z", {}), std::logic_error);
}

}  // namespace
}  // namespace lra::engine::testing
