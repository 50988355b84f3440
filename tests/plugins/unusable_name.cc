// A plug-in whose mechanism's name cannot be typed.
#include "tests/plugins/sound_attention.h"

namespace {
const lra::attention::Registration kRegistration(std::make_unique<lra::testing::SoundAttention>("My Attention"));
}  // namespace
