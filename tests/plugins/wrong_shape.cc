// A plug-in whose mechanism returns what has another shape than v.
#include "tests/plugins/sound_attention.h"

namespace {

class WrongShape final : public lra::testing::SoundAttention {
 public:
  WrongShape() : SoundAttention("wrong_shape") {}
  lra::engine::Var attend(const lra::attention::Context&, lra::engine::Var q, lra::engine::Var k, lra::engine::Var,
                          lra::engine::Var) const override {
    return lra::engine::matmul(q, k, false, true);
  }
};

const lra::attention::Registration kRegistration(std::make_unique<WrongShape>());

}  // namespace
