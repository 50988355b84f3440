// Exact softmax attention (Vaswani et al. 2017, equation 1).
#include <cmath>

#include "attention/registry.h"
#include "engine/ops/dropout.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/matmul.h"
#include "engine/ops/reduce.h"
#include "engine/ops/shape.h"
#include "engine/ops/softmax_attention.h"

namespace lra::attention {
namespace {

using namespace engine;  // the vocabulary of operations

constexpr double kMasked = -1e10;     // finite: a row without a single real key becomes uniform instead of NaN
constexpr double kInvisible = -1e30;  // below any sum with kMasked: an invisible key never counts

class Softmax final : public Attention {
 public:
  Facts facts() const override {
    return {.name = "softmax",
            .full_name = "Softmax attention",
            .citation = "Vaswani et al. 2017, Attention Is All You Need, eq. 1",
            .time_complexity = "O(n^2 d_head)",
            .memory_complexity = "O(n d_head)",
            .growth_exponent_time = 2,
            .growth_exponent_memory = 1,
            .length_semantics = LengthSemantics::masked,
            .causal = true,
            .attention_dropout = true,
            .forward_flops = [](const ProblemSize& size, const ParameterValues&) {
              const int64_t pairs = size.n * size.n / (size.causal ? 2 : 1);
              return 2 * size.heads * pairs * size.d_head * 2;
            }};
  }

  Var attend(const Context& context, Var q, Var k, Var v, Var mask) const override {
    const double scale = 1.0 / std::sqrt(static_cast<double>(q.shape()[2]));
    const uint64_t site = dropout_site(context.scope, "attention_weights");
    if (context.graph.use_fused())
      return fused_softmax_attention(
          q, k, v, mask,
          {.scale = scale, .causal = context.causal, .dropout = context.attention_dropout, .dropout_site = site});
    Var logits = affine(matmul(q, k, false, true), scale, 0);
    // Pads get exactly kMasked (not their logit plus it), so that a row of pads alone is uniform in every dtype.
    logits = add(multiply(logits, mask), affine(mask, -kMasked, kMasked));
    if (context.causal) logits = add(logits, causal_bias(context.graph, q.shape()[1]));
    return matmul(dropout(softmax(logits), context.attention_dropout, site), v);
  }

 private:
  static Var causal_bias(Graph& graph, int64_t n) {
    std::vector<double> bias(static_cast<size_t>(n * n), 0.0);
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = i + 1; j < n; ++j) bias[static_cast<size_t>(i * n + j)] = kInvisible;
    return graph.constant("causal_bias", {n, n}, std::move(bias));
  }
};

const Registration kRegistration(std::make_unique<Softmax>());

}  // namespace
}  // namespace lra::attention
