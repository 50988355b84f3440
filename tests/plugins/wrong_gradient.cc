// A plug-in with an operation that has twice the gradient it should have.
#include "tests/plugins/identity_op.h"
#include "tests/plugins/sound_attention.h"

namespace {

class DoubledGradientOp final : public lra::testing::IdentityOp {
 public:
  std::string_view name() const override { return "doubled_gradient"; }
  std::vector<lra::engine::Var> vjp(const lra::engine::VjpArguments& arguments) const override {
    return {lra::engine::affine(arguments.output_gradients[0], 2, 0)};
  }
};

class WrongGradient final : public lra::testing::SoundAttention {
 public:
  WrongGradient() : SoundAttention("wrong_gradient") {}
  lra::engine::Var attend(const lra::attention::Context& context, lra::engine::Var q, lra::engine::Var k,
                          lra::engine::Var v, lra::engine::Var mask) const override {
    return lra::testing::apply_identity<DoubledGradientOp>(SoundAttention::attend(context, q, k, v, mask));
  }
};

const lra::attention::Registration kRegistration(std::make_unique<WrongGradient>());

}  // namespace
