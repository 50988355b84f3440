// A plug-in whose mechanism does not tell its facts.
#include <stdexcept>

#include "tests/plugins/sound_attention.h"

namespace {

class Silent final : public lra::testing::SoundAttention {
 public:
  Silent() : SoundAttention("silent") {}
  lra::attention::Facts facts() const override { throw std::runtime_error("the facts are missing"); }
};

const lra::attention::Registration kRegistration(std::make_unique<Silent>());

}  // namespace
