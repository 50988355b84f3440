// A plug-in whose second mechanism has a name that is taken.
#include "tests/plugins/sound_attention.h"

namespace {
const lra::attention::Registration kFree(std::make_unique<lra::testing::SoundAttention>("free_name"));
const lra::attention::Registration kTaken(std::make_unique<lra::testing::SoundAttention>("softmax"));
}  // namespace
