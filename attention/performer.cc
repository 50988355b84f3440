// Performer: attention by positive random features, FAVOR+ (Choromanski et al. 2021), and its ReLU forms.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "attention/registry.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/matmul.h"
#include "engine/ops/plain_linear_attention.h"
#include "engine/ops/prefix_sum.h"
#include "engine/ops/random_features.h"
#include "engine/ops/reduce.h"
#include "engine/ops/shape.h"

namespace lra::attention {
namespace {

using namespace engine;  // the vocabulary of operations

const std::string kSoftmax = "softmax", kRelu = "relu", kReluDirect = "relu_direct";
constexpr int64_t kChunkRows = 64;   // of a causal sum
constexpr double kReluShift = 1e-3;  // of the official code: keeps every feature positive
constexpr double kSmallest = 1e-30;  // of a denominator: reached where all keys are masked

class Performer final : public Attention {
 public:
  Facts facts() const override {
    return {.name = "performer",
            .full_name = "Performer (FAVOR+)",
            .citation = "Choromanski et al. 2021, Rethinking Attention with Performers, eq. 5-7",
            .time_complexity = "O(n num_features d_head)",
            .memory_complexity = "O(n num_features)",
            .masked_rows_droppable = true,
            .causal = true,
            .parameters = {{.name = "kernel",
                            .default_value = kSoftmax,
                            .unit = "",
                            .choices = {kSoftmax, kRelu, kReluDirect},
                            .help = "softmax: positive features of exp(q.k / sqrt(d_head)); relu: relu(w.x) + 0.001; "
                                    "relu_direct: relu(x) + 0.001 without directions, the official LRA default"},
                           {.name = "num_features",
                            .default_value = int64_t{256},
                            .unit = "features",
                            .minimum = 1,
                            .maximum = 65536,
                            .help = "random directions"},
                           {.name = "orthogonal",
                            .default_value = true,
                            .unit = "",
                            .help = "directions at right angles, d_head at a time"},
                           {.name = "redraw_steps",
                            .default_value = int64_t{0},
                            .unit = "steps",
                            .minimum = 0,
                            .help = "new directions every so many training steps; 0: the same throughout"}},
            // Directions need no gradient: one product backwards where others have two.
            .forward_flops =
                [](const ProblemSize& size, const ParameterValues& parameters) {
                  const Products products = products_of(size, parameters);
                  return products.sums + products.features;
                },
            .backward_flops =
                [](const ProblemSize& size, const ParameterValues& parameters) {
                  const Products products = products_of(size, parameters);
                  return 2 * products.sums + products.features;
                }};
  }

  /// O = f(Q) (f(K)^T V) / f(Q) (f(K)^T 1), causal with the sums of each prefix. A column of ones beside V makes the
  /// denominator with the same products.
  Var attend(const Context& context, Var q, Var k, Var v, Var mask) const override {
    const int64_t h = q.shape()[0], n = q.shape()[1], d = q.shape()[2];
    const Var directions = directions_of(context, d);
    const Var of_queries = query_features(context, q, directions), of_keys = key_features(context, k, directions, mask);
    if (!context.graph.use_fused())
      return plain_linear_attention(of_queries, of_keys, v, {Normalizer::clamp_min, kSmallest, context.causal});
    const Var ones = context.graph.constant("ones", {h, n, 1}, std::vector<double>(static_cast<size_t>(h * n), 1.0));
    const Var parts[] = {v, ones};
    const Var summed = concat(parts, 2);
    const Var sums = context.causal ? causal_sums(of_queries, of_keys, summed)
                                    : matmul(of_queries, matmul(of_keys, summed, true, false));
    return divide(slice(sums, 2, 0, d), clamp_min(slice(sums, 2, d, d + 1), kSmallest));
  }

 private:
  /// Row i: f_i . sum over j <= i of g_j s_j^T. In chunks of rows: a triangle of products inside a chunk, the sum of
  /// all earlier chunks before it.
  static Var causal_sums(Var f, Var g, Var s) {
    const int64_t h = f.shape()[0], n = f.shape()[1], m = f.shape()[2], width = s.shape()[2];
    const int64_t rows = std::min(kChunkRows, n), chunks = (n + rows - 1) / rows;
    const auto chunked = [&](Var x) {
      const int64_t missing = chunks * rows - n, columns = x.shape()[2];
      if (missing > 0) {
        const Var zeros = x.graph().constant("zeros", {h, missing, columns},
                                             std::vector<double>(static_cast<size_t>(h * missing * columns)));
        const Var parts[] = {x, zeros};
        x = concat(parts, 1);
      }
      return reshape(x, {h * chunks, rows, columns});
    };
    std::vector<double> triangle(static_cast<size_t>(rows * rows));
    for (int64_t i = 0; i < rows; ++i) std::fill_n(triangle.begin() + i * rows, i + 1, 1.0);
    const Var seen = f.graph().constant("triangle", {rows, rows}, std::move(triangle));
    const Var of_queries = chunked(f), of_keys = chunked(g), summed = chunked(s);
    const Var of_chunk = reshape(matmul(of_keys, summed, true, false), {h, chunks, m * width});
    const Var before = reshape(sum_before(of_chunk), {h * chunks, m, width});
    const Var inside = matmul(multiply(matmul(of_queries, of_keys, false, true), seen), summed);
    return slice(reshape(add(matmul(of_queries, before), inside), {h, chunks * rows, width}), 1, 0, n);
  }

  static bool has_directions(const ParameterValues& parameters) {
    return std::get<std::string>(parameters.at("kernel")) != kReluDirect;
  }
  /// The two products with keys and queries, and those that make the features (0 without directions), all heads.
  struct Products {
    int64_t sums, features;
  };
  static Products products_of(const ProblemSize& size, const ParameterValues& parameters) {
    const bool directions = has_directions(parameters);
    const int64_t features = directions ? integer_of(parameters, "num_features") : size.d_head;
    const int64_t of_column = 2 * size.heads * size.n * features;
    return {.sums = 2 * of_column * (size.d_head + 1), .features = directions ? 2 * of_column * size.d_head : 0};
  }

  /// [num_features, d], the same for all heads of a layer; not valid() where the kernel has none.
  static Var directions_of(const Context& context, int64_t d) {
    if (!has_directions(context.parameters)) return {};
    const int64_t m = context.integer("num_features"), redraw_steps = context.integer("redraw_steps");
    const uint64_t site = hash_name(context.scope);
    const bool orthogonal = context.flag("orthogonal");
    if (redraw_steps > 0) return redrawn_directions(context.graph, site, m, d, orthogonal, redraw_steps);
    return context.graph.constant("directions", {m, d}, random_directions(context.seed, site, 0, m, d, orthogonal));
  }

  // Of the softmax kernel f(x)_r = exp(w_r . x - |x|^2 / 2 - c), x scaled by d^(-1/4): c is the largest exponent of a
  // query, and that of all real keys. It leaves the quotient as it is, as the 1 / sqrt(m) does that is left out. Causal
  // keys may not know of later ones: theirs is c_r = (|w_r|^2 - min over s of |w_s|^2) / 2, which keeps exponents at
  // |w_s|^2 / 2 or less; it is given back to the queries.

  /// [h, n, features]. What is subtracted from a query's products is their largest: its |x|^2 / 2 is part of c, too.
  static Var query_features(const Context& context, Var q, Var directions) {
    if (context.text("kernel") != kSoftmax) return relu_features(context, q, directions);
    Var products = matmul(scaled(q), directions, false, true);
    if (context.causal) products = add(products, excess(directions));
    return exp(subtract(products, stop_gradient(max(products, 2, true))));
  }

  /// [h, n, features], 0 for masked keys.
  static Var key_features(const Context& context, Var k, Var directions, Var mask) {
    const Var real = reshape(mask, {mask.shape()[0], 1});
    if (context.text("kernel") != kSoftmax) return multiply(relu_features(context, k, directions), real);
    constexpr double kNever = 1e4;  // exp(-1e4) is 0 in every precision
    const Var x = scaled(k);
    const Var never = affine(real, -kNever, kNever);
    const Var halved = affine(sum(square(x), 2, true), 0.5, 0);
    const Var products = matmul(x, directions, false, true);
    if (context.causal) return exp(subtract(subtract(products, excess(directions)), add(halved, never)));
    return exp(subtract(products, add(halved, add(largest_exponent(x, directions, mask), never))));
  }

  /// [1, features]: (|w_r|^2 - min over s of |w_s|^2) / 2.
  static Var excess(Var directions) {
    const int64_t m = directions.shape()[0];
    const Var squares = reshape(sum(square(directions), 1, false), {1, m});
    const Var least = affine(max(affine(squares, -1, 0), 1, true), -1, 0);
    return stop_gradient(affine(subtract(squares, least), 0.5, 0));
  }

  static Var relu_features(const Context& context, Var x, Var directions) {
    const Var products = context.text("kernel") == kRelu ? matmul(x, directions, false, true) : x;
    return affine(relu(products), 1, kReluShift);
  }

  static Var scaled(Var x) { return affine(x, std::pow(static_cast<double>(x.shape()[2]), -0.25), 0); }
};

const Registration kRegistration(std::make_unique<Performer>());

}  // namespace
}  // namespace lra::attention
