// A plug-in whose mechanism fails while it builds its graph.
#include <stdexcept>

#include "tests/plugins/sound_attention.h"

namespace {

class Unbuilt final : public lra::testing::SoundAttention {
 public:
  Unbuilt() : SoundAttention("unbuilt") {}
  lra::engine::Var attend(const lra::attention::Context&, lra::engine::Var, lra::engine::Var, lra::engine::Var,
                          lra::engine::Var) const override {
    throw std::out_of_range("landmark 7 of 4");
  }
};

const lra::attention::Registration kRegistration(std::make_unique<Unbuilt>());

}  // namespace
