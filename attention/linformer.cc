// Linformer: keys and values projected along the sequence to a fixed number of tokens (Wang et al. 2020).
#include <cmath>

#include "attention/registry.h"
#include "engine/ops/dropout.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/matmul.h"
#include "engine/ops/shape.h"
#include "engine/ops/softmax_attention.h"

namespace lra::attention {
namespace {

using namespace engine;  // the vocabulary of operations

// Who has a projection of its own, in the terms of the paper (section 4) and from most to fewest parameters.
const std::string kNone = "none", kHeadWise = "head_wise", kKeyValue = "key_value", kLayerWise = "layer_wise",
                  kLayerWisePerHead = "layer_wise_per_head";

class Linformer final : public Attention {
 public:
  Facts facts() const override {
    return {.name = "linformer",
            .full_name = "Linformer",
            .citation = "Wang et al. 2020, Linformer: Self-Attention with Linear Complexity, eq. 7",
            .time_complexity = "O(n rank d_head)",
            .memory_complexity = "O(n d_head + rank d_head)",
            .length_semantics = LengthSemantics::nominal,
            .attention_dropout = true,
            .parameters = {{.name = "rank",
                            .default_value = int64_t{256},
                            .unit = "tokens",
                            .minimum = 1,
                            .help = "tokens that keys and values are projected to"},
                           {.name = "sharing",
                            .default_value = kKeyValue,
                            .unit = "",
                            .choices = {kNone, kHeadWise, kKeyValue, kLayerWise, kLayerWisePerHead},
                            .help = "none: a projection for keys and one for values of each head; head_wise: the same "
                                    "two for all heads; key_value: one for both; layer_wise: one for all layers; "
                                    "layer_wise_per_head: one a head for all layers, as in Nystromformer's code"}},
            .forward_flops = [](const ProblemSize& size, const ParameterValues& parameters) {
              const int64_t rank = integer_of(parameters, "rank");
              return 2 * size.heads * 4 * size.n * rank * size.d_head;  // two projections, logits, weights V
            }};
  }

  /// O = softmax(Q (E^T K)^T / sqrt(d)) F^T V. Pads are zero before they are projected.
  Var attend(const Context& context, Var q, Var k, Var v, Var mask) const override {
    const int64_t rank = context.integer("rank");
    const Var real = reshape(mask, {mask.shape()[0], 1});
    const std::string& sharing = context.text("sharing");
    const bool split = sharing == kNone || sharing == kHeadWise;
    const Var keys = projected(context, split ? "key_projection" : "projection", multiply(k, real));
    const Var values = projected(context, split ? "value_projection" : "projection", multiply(v, real));
    const Var all = context.graph.constant("all", {rank}, std::vector<double>(static_cast<size_t>(rank), 1.0));
    return softmax_attention(q, keys, values, all,
                             {.scale = 1.0 / std::sqrt(static_cast<double>(q.shape()[2])),
                              .dropout = context.attention_dropout,
                              .dropout_site = dropout_site(context.scope, "attention_weights")});
  }

 private:
  /// [h, n, d] -> [h, rank, d], by the first n rows of a learned [nominal length, rank], or of one a head.
  static Var projected(const Context& context, const std::string& name, Var x) {
    const int64_t h = x.shape()[0], n = x.shape()[1], rank = context.integer("rank");
    const int64_t length = context.nominal_length;
    const std::string& sharing = context.text("sharing");
    const bool for_all_layers = sharing == kLayerWise || sharing == kLayerWisePerHead;
    const bool per_head = sharing == kNone || sharing == kLayerWisePerHead;
    // Both codes' own: Flax's default in the official one, N(0, 0.02) in Nystromformer's.
    const Initializer initializer =
        sharing == kLayerWisePerHead ? init_normal(0.02) : init_xavier_uniform(length, rank);
    const Shape shape = per_head ? Shape{h, length, rank} : Shape{length, rank};
    engine::Parameters& all = context.graph.parameters();
    const Var whole = for_all_layers
                          ? context.graph.parameter(all.declare("encoder.linformer." + name, shape, initializer))
                          : context.parameter(name, shape, initializer);
    if (per_head) return matmul(slice(whole, 1, 0, n), x, true, false);
    return split_heads(matmul(slice(whole, 0, 0, n), merge_heads(x), true, false), h);
  }
};

const Registration kRegistration(std::make_unique<Linformer>());

}  // namespace
}  // namespace lra::attention
