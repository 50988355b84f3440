// Performer: attention by positive random features, FAVOR+ (Choromanski et al. 2021), and its ReLU forms.
#include <fmt/format.h>

#include <cmath>

#include "attention/registry.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/matmul.h"
#include "engine/ops/plain_linear_attention.h"
#include "engine/ops/random_features.h"
#include "engine/ops/reduce.h"
#include "engine/ops/shape.h"

namespace lra::attention {
namespace {

using namespace engine;  // the vocabulary of operations

const std::string kSoftmax = "softmax", kRelu = "relu", kReluDirect = "relu_direct";
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
            // Keys into the state, queries out of it; and the features of both, whose directions need no gradient.
            .forward_flops =
                [](const ProblemSize& size, const ParameterValues& parameters) {
                  return product_flops(size, parameters) * (has_directions(parameters) ? 4 : 2);
                },
            .backward_flops =
                [](const ProblemSize& size, const ParameterValues& parameters) {
                  return product_flops(size, parameters) * (has_directions(parameters) ? 6 : 4);
                }};
  }

  /// O = f(Q) (f(K)^T V) / f(Q) (f(K)^T 1).
  Var attend(const Context& context, Var q, Var k, Var v, Var mask) const override {
    const Var real = reshape(mask, {mask.shape()[0], 1});
    const Var directions = directions_of(context, q.shape()[2]);
    const Var of_queries = features(context, q, directions, Var());
    const Var of_keys = multiply(features(context, k, directions, mask), real);
    if (!context.graph.use_fused())
      return plain_linear_attention(of_queries, of_keys, v, {Normalizer::clamp_min, kSmallest, false});
    const Var state = matmul(of_keys, v, true, false), total = sum(of_keys, 1, true);
    const Var denominator = clamp_min(sum(multiply(of_queries, total), 2, true), kSmallest);
    return divide(matmul(of_queries, state), denominator);
  }

 private:
  static bool has_directions(const ParameterValues& parameters) {
    return std::get<std::string>(parameters.at("kernel")) != kReluDirect;
  }
  /// Of one product between the features and something of the width of a head, all heads.
  static int64_t product_flops(const ProblemSize& size, const ParameterValues& parameters) {
    const int64_t features =
        has_directions(parameters) ? std::get<int64_t>(parameters.at("num_features")) : size.d_head;
    return 2 * size.heads * size.n * features * size.d_head;
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

  /// [h, n, features]. With exponentials, f(x)_r = exp(w_r . x - |x|^2 / 2 - c) / sqrt(m) of x scaled by d^(-1/4): c is
  /// the largest exponent of a query, and that of all real keys; it leaves the quotient as it is.
  static Var features(const Context& context, Var x, Var directions, Var key_mask) {
    const std::string& kernel = context.text("kernel");
    if (kernel == kReluDirect) return affine(relu(x), 1, kReluShift);
    if (kernel == kRelu) return affine(relu(matmul(x, directions, false, true)), 1, kReluShift);
    const Var scaled = affine(x, std::pow(static_cast<double>(x.shape()[2]), -0.25), 0);
    const Var exponents =
        subtract(matmul(scaled, directions, false, true), affine(sum(square(scaled), 2, true), 0.5, 0));
    const Var shift =
        key_mask.valid() ? largest_exponent(scaled, directions, key_mask) : stop_gradient(max(exponents, 2, true));
    const double scale = 1.0 / std::sqrt(static_cast<double>(context.integer("num_features")));
    return affine(exp(subtract(exponents, shift)), scale, 0);
  }
};

const Registration kRegistration(std::make_unique<Performer>());

}  // namespace
}  // namespace lra::attention
