// A plug-in whose kernel throws in the first evaluation, whose examples have no step, after a training step has been.
#include <atomic>
#include <stdexcept>

#include "tests/plugins/identity_op.h"
#include "tests/plugins/sound_attention.h"

namespace {

std::atomic<bool> trained = false;

class UnevaluatedOp final : public lra::testing::IdentityOp {
 public:
  std::string_view name() const override { return "unevaluated"; }
  void before_run(const lra::engine::ExampleKeys& keys) const override {
    if (keys.step > 0) trained = true;
    if (keys.step == 0 && trained) throw std::runtime_error("no table for evaluations");
  }
};

class Unevaluated final : public lra::testing::SoundAttention {
 public:
  Unevaluated() : SoundAttention("unevaluated") {}
  lra::engine::Var attend(const lra::attention::Context& context, lra::engine::Var q, lra::engine::Var k,
                          lra::engine::Var v, lra::engine::Var mask) const override {
    return lra::testing::apply_identity<UnevaluatedOp>(SoundAttention::attend(context, q, k, v, mask));
  }
};

const lra::attention::Registration kRegistration(std::make_unique<Unevaluated>());

}  // namespace
