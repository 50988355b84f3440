// A plug-in that calls a function which no program has.
#include "tests/plugins/sound_attention.h"

namespace lra::engine {
Var no_such_operation(Var x);
}

namespace {

class Undeclared final : public lra::testing::SoundAttention {
 public:
  Undeclared() : SoundAttention("undeclared") {}
  lra::engine::Var attend(const lra::attention::Context&, lra::engine::Var q, lra::engine::Var, lra::engine::Var,
                          lra::engine::Var) const override {
    return lra::engine::no_such_operation(q);
  }
};

const lra::attention::Registration kRegistration(std::make_unique<Undeclared>());

}  // namespace
