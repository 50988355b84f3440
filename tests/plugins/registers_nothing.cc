// A plug-in without a mechanism.
#include "tests/plugins/sound_attention.h"

namespace {
[[gnu::used]] const lra::testing::SoundAttention kForgotten("forgotten");
}  // namespace
