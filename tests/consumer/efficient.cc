// Efficient attention: softmax over the features of q, softmax over the positions of k (Shen et al. 2021, section 3.2).
#include "attention/registry.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/matmul.h"
#include "engine/ops/reduce.h"
#include "engine/ops/shape.h"

namespace {

using namespace lra::attention;
using namespace lra::engine;  // the vocabulary of operations

constexpr double kMasked = -1e10;  // finite: where every token is a pad, the weights are uniform instead of NaN

class Efficient final : public Attention {
 public:
  Facts facts() const override {
    return {.name = "efficient",
            .full_name = "Efficient attention",
            .citation = "Shen et al. 2021, Efficient Attention: Attention with Linear Complexities, sec. 3.2",
            .time_complexity = "O(n d_head^2)",
            .memory_complexity = "O(n d_head + d_head^2)",
            .growth_exponent_time = 1,
            .growth_exponent_memory = 1,
            .length_semantics = LengthSemantics::masked,
            .parameters = {{.name = "temperature",
                            .default_value = 1.0,
                            .minimum = 1e-3,
                            .maximum = 1e3,
                            .help = "divides q and k before their softmax"}},
            .forward_flops = [](const ProblemSize& size, const ParameterValues&) {
              return 2 * 2 * size.heads * size.n * size.d_head * size.d_head;  // K^T V, and Q times it
            }};
  }

  Var attend(const Context& context, Var q, Var k, Var v, Var mask) const override {
    const double scale = 1.0 / context.real("temperature");
    const Var keys = affine(transpose(k), scale, 0);                                   // [h, d_head, n]
    const Var real_keys = add(multiply(keys, mask), affine(mask, -kMasked, kMasked));  // pads: kMasked
    const Var summary = matmul(softmax(real_keys), v);                                 // [h, d_head, d_head]
    return matmul(softmax(affine(q, scale, 0)), summary);                              // [h, n, d_head]
  }
};

const Registration kRegistration(std::make_unique<Efficient>());

}  // namespace
