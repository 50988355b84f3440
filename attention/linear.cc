// Linear attention with the feature map elu + 1 (Katharopoulos et al. 2020, equations 5 and 7).
#include "attention/registry.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/feature_maps.h"
#include "engine/ops/linear_attention.h"
#include "engine/ops/matmul.h"
#include "engine/ops/plain_linear_attention.h"
#include "engine/ops/shape.h"

namespace lra::attention {
namespace {

using namespace engine;  // the vocabulary of operations

class Linear final : public Attention {
 public:
  Facts facts() const override {
    return {.name = "linear",
            .full_name = "Linear transformer (elu + 1)",
            .citation = "Katharopoulos et al. 2020, Transformers are RNNs, eq. 5-7",
            .time_complexity = "O(n d_head^2)",
            .memory_complexity = "O(n d_head + d_head^2)",
            .length_semantics = LengthSemantics::masked,
            .masked_rows_droppable = true,
            .causal = true,
            .parameters = {{.name = "epsilon",
                            .default_value = 1e-6,
                            .unit = "",
                            .minimum = 1e-12,  // 0 / 0 otherwise
                            .maximum = 1.0,
                            .help = "keeps the denominator away from zero"}},
            .forward_flops = [](const ProblemSize& size, const ParameterValues&) {
              return 2 * 2 * size.heads * size.n * size.d_head * size.d_head;  // phi(k)^T v and phi(q) S
            }};
  }

  Var attend(const Context& context, Var q, Var k, Var v, Var mask) const override {
    const double epsilon = context.real("epsilon");
    if (context.graph.use_fused())
      return fused_linear_attention(q, k, v, mask,
                                    {.feature_map = elu_plus_one_features(),
                                     .normalizer = Normalizer::add_epsilon,
                                     .epsilon = epsilon,
                                     .causal = context.causal});
    const auto phi = [](Var x) { return affine(elu(x), 1, 1); };
    const Var masked_k = multiply(phi(k), reshape(mask, {mask.shape()[0], 1}));
    return plain_linear_attention(phi(q), masked_k, v, {Normalizer::add_epsilon, epsilon, context.causal});
  }
};

const Registration kRegistration(std::make_unique<Linear>());

}  // namespace
}  // namespace lra::attention
