// Exact softmax attention (Vaswani et al. 2017, equation 1).
#include <cmath>

#include "attention/registry.h"
#include "engine/ops/dropout.h"
#include "engine/ops/softmax_attention.h"

namespace lra::attention {
namespace {

using namespace engine;  // the vocabulary of operations

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
            .masked_rows_droppable = true,
            .causal = true,
            .attention_dropout = true,
            .forward_flops = [](const ProblemSize& size, const ParameterValues&) {
              const int64_t pairs = size.n * size.n / (size.causal ? 2 : 1);
              return 2 * size.heads * pairs * size.d_head * 2;
            }};
  }

  Var attend(const Context& context, Var q, Var k, Var v, Var mask) const override {
    return softmax_attention(q, k, v, mask,
                             {.scale = 1.0 / std::sqrt(static_cast<double>(q.shape()[2])),
                              .causal = context.causal,
                              .dropout = context.attention_dropout,
                              .dropout_site = dropout_site(context.scope, "attention_weights")});
  }
};

const Registration kRegistration(std::make_unique<Softmax>());

}  // namespace
}  // namespace lra::attention
