// Nystromformer: softmax through landmarks, with an iterative pseudo-inverse (Xiong et al. 2021).
//
// Landmarks are means of segments of nominal length / num_landmarks tokens. What meets n tokens and the landmarks
// is softmax attention of one to the other, so nothing of n x num_landmarks is ever kept.
#include <fmt/format.h>

#include <cmath>

#include "attention/registry.h"
#include "attention/segments.h"
#include "engine/errors.h"
#include "engine/ops/depthwise_convolution.h"
#include "engine/ops/matmul.h"
#include "engine/ops/softmax_attention.h"

namespace lra::attention {
namespace {

using namespace engine;  // the vocabulary of operations

class Nystromformer final : public Attention {
 public:
  Facts facts() const override {
    return {
        .name = "nystromformer",
        .full_name = "Nystromformer",
        .citation =
            "Xiong et al. 2021, Nystromformer: A Nystrom-based Algorithm for Approximating Self-Attention, "
            "eq. 12-14",
        .time_complexity = "O(n num_landmarks d_head + num_landmarks^3)",
        .memory_complexity = "O(n d_head + num_landmarks^2)",
        .length_semantics = LengthSemantics::nominal,
        .parameters = {num_landmarks_spec(
                           128, "landmarks of a sequence of the task's length; all of its tokens: exact softmax"),
                       {.name = "landmark_means",
                        .default_value = std::string("segment"),
                        .unit = "",
                        .choices = {"segment", "valid"},
                        .help = "segment: pads count as zeros, as in the authors' code; valid: means of real tokens "
                                "only, landmarks of nothing but pads are left out"},
                       {.name = "iterations",
                        .default_value = int64_t{6},
                        .unit = "",
                        .minimum = 1,
                        .maximum = 100,
                        .help = "iterations of the pseudo-inverse"},
                       {.name = "inverse_scaling",
                        .default_value = std::string("matrix"),
                        .unit = "",
                        .choices = {"matrix", "sequence"},
                        .help = "first approximation of the inverse scaled by the largest column sum of each head, "
                                "or of all heads together"},
                       {.name = "conv_kernel_size",
                        .default_value = int64_t{35},
                        .unit = "",
                        .minimum = 0,
                        .maximum = 1023,
                        .help = "taps of the depthwise convolution of the values that is added, odd; 0: none"}},
        .forward_flops = [](const ProblemSize& size, const ParameterValues& parameters) {
          const int64_t n = size.n, d = size.d_head, m = landmarks_of(size.nominal_length, parameters);
          if (m == size.nominal_length) return 2 * 2 * size.heads * n * n * d;
          const int64_t inverse = integer_of(parameters, "iterations") * 4 * m * m * m;
          return 2 * size.heads * (4 * n * m * d + 2 * m * m * d + inverse);
        }};
  }

  void check(const ParameterValues& parameters, const ProblemSize&) const override {
    const int64_t taps = integer_of(parameters, "conv_kernel_size");
    if (taps % 2 == 0 && taps != 0)
      throw UsageError(fmt::format("[nystromformer] attention.conv_kernel_size = {} is even", taps),
                       "choose an odd number of taps, which has a middle, or 0 for no convolution");
  }

  /// O = F Z (B V) + convolution of V, with F = softmax(Q Kl^T), Z ~ softmax(Ql Kl^T)^+, B = softmax(Ql K^T).
  Var attend(const Context& context, Var q, Var k, Var v, Var mask) const override {
    const int64_t h = q.shape()[0], n = q.shape()[1];
    const Var real = reshape(mask, {n, 1});
    const Var values = multiply(v, real);
    Var result = approximate(context, multiply(q, real), multiply(k, real), values, mask);
    if (const int64_t taps = context.integer("conv_kernel_size"); taps > 0) {
      const Var filters = context.parameter("conv.weight", {h, taps}, init_torch_linear(taps));
      result = add(result, depthwise_convolution(values, filters));
    }
    return result;
  }

 private:
  static int64_t landmarks_of(int64_t nominal_length, const ParameterValues& parameters) {
    const int64_t stride = segment_stride(nominal_length, parameters);
    return (nominal_length + stride - 1) / stride;
  }

  static Var approximate(const Context& context, Var q, Var k, Var v, Var mask) {
    const int64_t n = q.shape()[1], d = q.shape()[2];
    const SoftmaxAttentionParams softmax_params{.scale = 1.0 / std::sqrt(static_cast<double>(d))};
    const Segments segments(n, segment_stride(context.nominal_length, context.parameters));
    if (segments.stride == 1) return softmax_attention(q, k, v, mask, softmax_params);
    const int64_t m = landmarks_of(context.nominal_length, context.parameters);
    const Var counts = filled(segments.sums(reshape(mask, {n, 1})), m);
    const bool valid = context.text("landmark_means") == "valid";
    const auto landmarks = [&](Var x) {
      const Var sums = filled(segments.sums(x), m);
      return valid ? divide(sums, clamp_min(counts, 1)) : affine(sums, 1.0 / static_cast<double>(segments.stride), 0);
    };
    const Var ql = landmarks(q), kl = landmarks(k);
    const Var used = valid ? greater(counts, 0) : ones(context.graph, m), keys_used = reshape(used, {m});
    const Var logits = affine(matmul(ql, kl, false, true), softmax_params.scale, 0);
    constexpr double kMasked = -1e10;
    const Var weights = softmax(add(multiply(logits, keys_used), affine(keys_used, -kMasked, kMasked)));
    const Var inverse = pseudo_inverse(context, valid ? without_unused(weights, used) : weights);
    const Var summaries = matmul(inverse, softmax_attention(ql, k, v, mask, softmax_params));
    return softmax_attention(q, kl, summaries, keys_used, softmax_params);
  }

  /// Z <- Z (13 I - A Z (15 I - A Z (7 I - A Z))) / 4 from Z = A^T / (largest row sum x largest column sum); rows of a
  /// softmax sum to 1.
  static Var pseudo_inverse(const Context& context, Var a) {
    const int64_t m = a.shape()[1];
    Var largest = max(sum(a, 1, true), 2, true);
    if (context.text("inverse_scaling") == "sequence") largest = max(largest, 0, true);
    Var z = divide(transpose(a), largest);
    const auto identity_minus = [&](double scale, Var x) {
      return subtract(scaled_identity(context.graph, m, scale), x);
    };
    for (int64_t i = 0; i < context.integer("iterations"); ++i) {
      const Var az = matmul(a, z);
      const Var inner = matmul(az, identity_minus(15, matmul(az, identity_minus(7, az))));
      z = affine(matmul(z, identity_minus(13, inner)), 0.25, 0);
    }
    return z;
  }

  /// Landmarks beyond the sequence are zero: [h, count, d] -> [h, m, d], [count, 1] -> [m, 1].
  static Var filled(Var x, int64_t m) {
    Shape missing = x.shape();
    missing.set(-2, m - x.shape()[-2]);
    if (missing[-2] == 0) return x;
    const Var parts[] = {
        x, x.graph().constant("landmarks_end", missing, std::vector<double>(static_cast<size_t>(missing.elements())))};
    return concat(parts, -2);
  }
  static Var ones(Graph& graph, int64_t m) {
    return graph.constant("used", {m, 1}, std::vector<double>(static_cast<size_t>(m), 1.0));
  }
};

const Registration kRegistration(std::make_unique<Nystromformer>());

}  // namespace
}  // namespace lra::attention
