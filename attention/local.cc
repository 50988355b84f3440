// Local attention: softmax over near tokens only, in the three patterns that go by that name.
#include <fmt/format.h>

#include <cmath>

#include "attention/registry.h"
#include "engine/errors.h"
#include "engine/ops/dropout.h"
#include "engine/ops/shape.h"
#include "engine/ops/softmax_attention.h"

namespace lra::attention {
namespace {

using namespace engine;  // the vocabulary of operations

const std::string kBlocks = "blocks", kSliding = "sliding", kStrided = "strided";

/// Sequences of `tokens` cut into blocks the way the official code does it, which then looks along the other axis:
/// `count` classes of tokens that are equal modulo `count`, block_size tokens in each.
struct Classes {
  Classes(int64_t tokens, int64_t block_size) : size(block_size), count(tokens / block_size + 1) {}
  int64_t size, count;
};

class Local final : public Attention {
 public:
  Facts facts() const override {
    return {.name = "local",
            .full_name = "Local attention",
            .citation =
                "Tay et al. 2020, Long Range Arena, local attention of its code; softmax of Vaswani et al. "
                "2017, eq. 1",
            .time_complexity = "O(n block_size d_head)",
            .memory_complexity = "O(n d_head)",
            .length_semantics = LengthSemantics::nominal,
            .causal = true,
            .attention_dropout = true,
            .parameters = {{.name = "pattern",
                            .default_value = kBlocks,
                            .unit = "",
                            .choices = {kBlocks, kSliding, kStrided},
                            .help = "blocks: tokens of the same block; sliding: those at most `window` away; strided: "
                                    "those a multiple of n / block_size away, as the official code has it"},
                           {.name = "block_size",
                            .default_value = int64_t{50},
                            .unit = "tokens",
                            .minimum = 1,
                            .help = "tokens that see each other (blocks, strided); even, or all n"},
                           {.name = "window",
                            .default_value = int64_t{50},
                            .unit = "tokens",
                            .minimum = 1,
                            .help = "how far a token sees to each side (sliding)"}},
            .forward_flops = [](const ProblemSize& size, const ParameterValues& parameters) {
              return 2 * 2 * size.heads * size.d_head * pairs(size, parameters);
            }};
  }

  void check(const ParameterValues& parameters, const ProblemSize& size) const override {
    const int64_t block_size = integer_of(parameters, "block_size");
    if (block_size % 2 != 0 && block_size != size.n && std::get<std::string>(parameters.at("pattern")) != kSliding)
      throw UsageError(
          fmt::format("[local] attention.block_size = {} is odd; n = {}", block_size, size.n),
          fmt::format("choose an even number of tokens from 2 to {}, such as {}, or all n", size.n, block_size + 1));
  }

  Var attend(const Context& context, Var q, Var k, Var v, Var mask) const override {
    const std::string& pattern = context.text("pattern");
    const SoftmaxAttentionParams params{.scale = 1.0 / std::sqrt(static_cast<double>(q.shape()[2])),
                                        .causal = context.causal,
                                        .window = pattern == kSliding ? context.integer("window") : 0,
                                        .block_size = pattern == kSliding ? 0 : context.integer("block_size"),
                                        .dropout = context.attention_dropout,
                                        .dropout_site = dropout_site(context.scope, "attention_weights")};
    if (pattern != kStrided) return softmax_attention(q, k, v, mask, params);
    const Classes classes(context.nominal_length, context.integer("block_size"));
    const Var by_class = softmax_attention(
        gathered(q, classes), gathered(k, classes), gathered(v, classes),
        reshape(gathered(reshape(mask, {1, mask.shape()[0], 1}), classes), {classes.count * classes.size}), params);
    return scattered(by_class, classes, q.shape()[1]);
  }

 private:
  /// Queries times the keys that they see, of one head.
  static int64_t pairs(const ProblemSize& size, const ParameterValues& parameters) {
    const std::string& pattern = std::get<std::string>(parameters.at("pattern"));
    const int64_t n = size.n;
    if (pattern == kSliding) {
      const int64_t window = std::min(integer_of(parameters, "window"), n - 1),
                    before = n * window - window * (window + 1) / 2;
      return n + (size.causal ? 1 : 2) * before;
    }
    // Of one block of b tokens; the causal form as softmax counts it.
    const auto square = [&](int64_t b) { return size.causal ? b * (b + 1) / 2 : b * b; };
    const int64_t b = integer_of(parameters, "block_size");
    if (pattern == kBlocks) return n / b * square(b) + square(n % b);
    return Classes(size.nominal_length, b).count * square(b);
  }

  /// [h, n, d] -> [h, count * size, d]: the tokens class by class, in order within each, missing ones zero.
  static Var gathered(Var x, const Classes& classes) {
    const int64_t h = x.shape()[0], n = x.shape()[1], d = x.shape()[2], missing = classes.count * classes.size - n;
    const Var zeros =
        x.graph().constant("missing", {h, missing, d}, std::vector<double>(static_cast<size_t>(h * missing * d)));
    const Var parts[] = {x, zeros};
    return reshape(transpose(reshape(concat(parts, 1), {h, classes.size, classes.count, d}), 1, 2),
                   {h, classes.count * classes.size, d});
  }
  /// And back to the first n tokens.
  static Var scattered(Var x, const Classes& classes, int64_t n) {
    const int64_t h = x.shape()[0], d = x.shape()[2];
    const Var tokens = transpose(reshape(x, {h, classes.count, classes.size, d}), 1, 2);
    return slice(reshape(tokens, {h, classes.count * classes.size, d}), 1, 0, n);
  }
};

const Registration kRegistration(std::make_unique<Local>());

}  // namespace
}  // namespace lra::attention
