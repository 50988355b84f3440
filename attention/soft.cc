// SOFT: a Gaussian kernel through landmarks, without softmax (Lu et al. 2021), carried from images to sequences.
//
// What the paper does with a k x k convolution over the image of a head is done here with one over segments of
// `stride` tokens, kernel = stride, so that the landmarks are ceil(n / stride) points whatever the length. The stride
// is nominal length / num_landmarks: a sequence shorter than the task's length has fewer landmarks, at the same places,
// and its result does not depend on its padding.
#include <fmt/format.h>

#include <cmath>

#include "attention/registry.h"
#include "attention/segments.h"
#include "engine/errors.h"
#include "engine/ops/activations.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/layer_norm.h"
#include "engine/ops/matmul.h"
#include "engine/ops/newton_solve.h"
#include "engine/ops/reduce.h"
#include "engine/ops/shape.h"

namespace lra::attention {
namespace {

using namespace engine;  // the vocabulary of operations

/// FLOPs of all heads.
struct Products {
  int64_t square = 0;  // one product of the size of the inverse
  int64_t others = 0;  // outside the inverse, in the forward pass
};

Products products_of(const ProblemSize& size, const ParameterValues& parameters) {
  const int64_t stride = segment_stride(size.nominal_length, parameters), d = size.d_head;
  const int64_t m = (size.n + stride - 1) / stride;
  const bool convolution = std::get<std::string>(parameters.at("landmarks")) == "convolution";
  const int64_t rows = 3 * size.n * m * d + (convolution ? m * stride * d * d : 0);
  return {.square = 2 * size.heads * m * m * m, .others = 2 * size.heads * (rows + 2 * m * m * d)};
}

class Soft final : public Attention {
 public:
  Facts facts() const override {
    return {.name = "soft",
            .full_name = "SOFT",
            .citation = "Lu et al. 2021, SOFT: Softmax-free Transformer with Linear Complexity, eq. 4-12",
            .time_complexity = "O(n num_landmarks d_head + num_landmarks^3)",
            .memory_complexity = "O(n num_landmarks)",
            .length_semantics = LengthSemantics::nominal,
            .projections = Projections::shared_qk,
            // The condition number of P2 + ridge I is at most (num_landmarks + ridge) / ridge, 6,400 by default, which
            // takes the 6e-8 of a rounding to 4e-4.
            .single_precision_error = 4e-4,
            .parameters = {num_landmarks_spec(64, "landmarks of a sequence of the task's length"),
                           {.name = "landmarks",
                            .default_value = std::string("convolution"),
                            .unit = "",
                            .choices = {"convolution", "mean"},
                            .help = "how segments become landmarks: a learned convolution with layer norm and GELU, or "
                                    "their mean"},
                           {.name = "iterations",
                            .default_value = int64_t{20},
                            .unit = "",
                            .minimum = 1,
                            .maximum = 100,
                            .help = "Newton iterations of the inverse"},
                           {.name = "ridge",
                            .default_value = 0.01,
                            .unit = "",
                            .minimum = 0,
                            .maximum = 1,
                            .help = "added to the diagonal of the landmarks' kernel before it is inverted"},
                           {.name = "normalization",
                            .default_value = std::string("none"),
                            .unit = "",
                            .choices = {"none", "symmetric"},
                            .help = "symmetric: the inverse between D^-1/2, D the landmarks' row sums"}},
            .forward_flops =
                [](const ProblemSize& size, const ParameterValues& parameters) {
                  const Products products = products_of(size, parameters);
                  return products.others + integer_of(parameters, "iterations") * 2 * products.square;
                },
            .backward_flops =
                [](const ProblemSize& size, const ParameterValues& parameters) {
                  const Products products = products_of(size, parameters);
                  return 2 * products.others;
                }};
  }

  /// O = P1 (P2 + ridge I)^-1 (P1^T V): equations 8 and 9, P1 between tokens and landmarks, P2 among landmarks.
  Var attend(const Context& context, Var q, Var, Var v, Var mask) const override {
    const int64_t n = q.shape()[1], d = q.shape()[2];
    const Var real = reshape(mask, {n, 1});
    const Var x = multiply(affine(q, std::pow(static_cast<double>(d), -0.25), 0), real);
    const Segments segments(n, segment_stride(context.nominal_length, context.parameters));
    const Var counts = segments.sums(real);  // [m, 1] real tokens
    const Var landmarks = context.text("landmarks") == "mean" ? divide(segments.sums(x), clamp_min(counts, 1))
                                                              : convolve(context, segments.rows(x));
    const Var used = greater(counts, 0);
    const Var p1 = multiply(gaussian(x, landmarks), reshape(used, {1, segments.count}));
    const Var p2 = without_unused(gaussian(landmarks, landmarks), used);
    const auto solve = [&](Var right) {
      return newton_solve(p2, right, {.iterations = context.integer("iterations"), .ridge = context.real("ridge")});
    };
    const Var values = matmul(p1, multiply(v, real), true, false);  // [h, m, d]
    if (context.text("normalization") == "none") return matmul(p1, solve(values));
    const Var scale = reciprocal(sqrt(sum(p2, 2, true)));  // [h, m, 1]
    return matmul(p1, multiply(scale, solve(multiply(scale, values))));
  }

 private:
  /// The bottleneck of the official code: convolution without bias, shared by the heads, layer norm, GELU.
  static Var convolve(const Context& context, Var rows) {
    const int64_t h = rows.shape()[0], m = rows.shape()[1], width = rows.shape()[2];
    const Var weight = context.parameter("landmarks.weight", {width, d_of(context, rows)}, init_torch_linear(width));
    const int64_t d = weight.shape()[1];
    const Var y = reshape(matmul(rows, weight), {h * m, d});
    const Var normal = layer_norm(y, context.parameter("landmarks.norm.weight", {d}, init_constant(1)),
                                  context.parameter("landmarks.norm.bias", {d}, init_constant(0)), 1e-5);
    return reshape(gelu(normal, Gelu::erf), {h, m, d});
  }
  static int64_t d_of(const Context& context, Var rows) {
    return rows.shape()[2] / segment_stride(context.nominal_length, context.parameters);
  }
  /// exp(-|x_i - y_j|^2 / 2): [h, n, m] (equation 4).
  static Var gaussian(Var x, Var y) {
    const int64_t h = y.shape()[0], m = y.shape()[1];
    const Var x_norms = sum(square(x), 2, true), y_norms = reshape(sum(square(y), 2, true), {h, 1, m});
    return exp(subtract(matmul(x, y, false, true), affine(add(x_norms, y_norms), 0.5, 0)));
  }
};

const Registration kRegistration(std::make_unique<Soft>());

}  // namespace
}  // namespace lra::attention
