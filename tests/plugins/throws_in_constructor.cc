// A plug-in whose mechanism cannot be constructed.
#include <stdexcept>

#include "tests/plugins/sound_attention.h"

namespace {

class Unmade final : public lra::testing::SoundAttention {
 public:
  Unmade() : SoundAttention("unmade") { throw std::runtime_error("the table of angles is missing"); }
};

const lra::attention::Registration kRegistration(std::make_unique<Unmade>());

}  // namespace
