// A plug-in whose kernel throws in the fifth step of a training.
#include <stdexcept>

#include "tests/plugins/identity_op.h"
#include "tests/plugins/sound_attention.h"

namespace {

class FailingOp final : public lra::testing::IdentityOp {
 public:
  std::string_view name() const override { return "failing"; }
  void before_run(const lra::engine::ExampleKeys& keys) const override {
    if (keys.step == 4) throw std::runtime_error("the table is empty");
  }
};

class Failing final : public lra::testing::SoundAttention {
 public:
  Failing() : SoundAttention("failing") {}
  lra::engine::Var attend(const lra::attention::Context& context, lra::engine::Var q, lra::engine::Var k,
                          lra::engine::Var v, lra::engine::Var mask) const override {
    return lra::testing::apply_identity<FailingOp>(SoundAttention::attend(context, q, k, v, mask));
  }
};

const lra::attention::Registration kRegistration(std::make_unique<Failing>());

}  // namespace
