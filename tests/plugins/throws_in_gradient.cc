// A plug-in with an operation whose gradient cannot be made.
#include <stdexcept>

#include "tests/plugins/identity_op.h"
#include "tests/plugins/sound_attention.h"

namespace {

class NoGradientOp final : public lra::testing::IdentityOp {
 public:
  std::string_view name() const override { return "no_gradient"; }
  std::vector<lra::engine::Var> vjp(const lra::engine::VjpArguments&) const override {
    throw std::runtime_error("this operation has no gradient");
  }
};

class NoGradient final : public lra::testing::SoundAttention {
 public:
  NoGradient() : SoundAttention("no_gradient") {}
  lra::engine::Var attend(const lra::attention::Context& context, lra::engine::Var q, lra::engine::Var k,
                          lra::engine::Var v, lra::engine::Var mask) const override {
    return lra::testing::apply_identity<NoGradientOp>(SoundAttention::attend(context, q, k, v, mask));
  }
};

const lra::attention::Registration kRegistration(std::make_unique<NoGradient>());

}  // namespace
