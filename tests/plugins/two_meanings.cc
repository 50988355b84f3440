// A plug-in with a parameter that is a number elsewhere and a text here.
#include "tests/plugins/sound_attention.h"

namespace {

class TwoMeanings final : public lra::testing::SoundAttention {
 public:
  TwoMeanings() : SoundAttention("two_meanings") {}
  lra::attention::Facts facts() const override {
    lra::attention::Facts facts = SoundAttention::facts();
    facts.parameters = {{.name = "epsilon", .default_value = std::string("small"), .choices = {"small", "large"}}};
    return facts;
  }
};

const lra::attention::Registration kRegistration(std::make_unique<TwoMeanings>());

}  // namespace
