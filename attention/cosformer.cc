// cosFormer: ReLU features reweighted by the cosine of the distance (Qin et al. 2022, equations 9-12).
#include <fmt/format.h>

#include <cmath>
#include <numbers>

#include "attention/registry.h"
#include "engine/errors.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/embedding.h"
#include "engine/ops/feature_maps.h"
#include "engine/ops/linear_attention.h"
#include "engine/ops/plain_linear_attention.h"
#include "engine/ops/shape.h"

namespace lra::attention {
namespace {

using namespace engine;  // the vocabulary of operations

class CosFormer final : public Attention {
 public:
  Facts facts() const override {
    return {.name = "cosformer",
            .full_name = "cosFormer",
            .citation = "Qin et al. 2022, cosFormer: Rethinking Softmax in Attention, eq. 9-12",
            .time_complexity = "O(n d_head^2)",
            .memory_complexity = "O(n d_head + d_head^2)",
            .length_semantics = LengthSemantics::nominal,
            .masked_rows_droppable = true,
            .causal = true,
            .parameters = {{.name = "epsilon",
                            .default_value = 1e-6,
                            .unit = "",
                            .minimum = 1e-12,  // 0 / 0 otherwise
                            .maximum = 1.0,
                            .help = "keeps the denominator away from zero"}},
            .forward_flops = [](const ProblemSize& size, const ParameterValues&) {
              return 2 * 2 * size.heads * size.n * 2 * size.d_head * size.d_head;  // g^T v and f S, width 2 d_head
            }};
  }

  Var attend(const Context& context, Var q, Var k, Var v, Var mask) const override {
    const int64_t n = q.shape()[1];
    LRA_CHECK(context.nominal_length >= n, fmt::format("cosformer: M = {} < n = {}", context.nominal_length, n));
    const double epsilon = context.real("epsilon");
    if (context.graph.use_fused())
      return fused_linear_attention(q, k, v, mask,
                                    {.feature_map = cosine_features(context.nominal_length),
                                     .normalizer = Normalizer::clamp_min,
                                     .epsilon = epsilon,
                                     .causal = context.causal},
                                    context.positions);
    const Var sine = of_angles(context, n, [](double theta) { return std::sin(theta); });
    const Var cosine = of_angles(context, n, [](double theta) { return std::cos(theta); });
    const auto features = [&](Var x) {
      const Var parts[] = {multiply(x, sine), multiply(x, cosine)};
      return concat(parts, -1);
    };
    const Var masked_k = multiply(relu(k), reshape(mask, {n, 1}));
    return plain_linear_attention(features(relu(q)), features(masked_k), v,
                                  {Normalizer::clamp_min, epsilon, context.causal});
  }

 private:
  /// f(theta_i) of the rows as a column [n, 1], theta_i = pi i / (2 M), positions i from 1, M the nominal length.
  template <class F>
  static Var of_angles(const Context& context, int64_t n, F f) {
    const int64_t count = context.positions.valid() ? context.nominal_length : n;
    std::vector<double> values(static_cast<size_t>(count));
    for (int64_t i = 0; i < count; ++i)
      values[static_cast<size_t>(i)] =
          f(std::numbers::pi * static_cast<double>(i + 1) / (2.0 * static_cast<double>(context.nominal_length)));
    const Var table = context.graph.constant("angles", {count, 1}, std::move(values));
    return context.positions.valid() ? embedding(table, context.positions) : table;
  }
};

const Registration kRegistration(std::make_unique<CosFormer>());

}  // namespace
}  // namespace lra::attention
