// Near matches for mistyped names.
#include "engine/errors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lra {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

TEST(SuggestTest, FindsExchangedLettersAndLeftOutOnes) {
  EXPECT_THAT(suggest("trian", {"list", "train"}), StartsWith("did you mean `train`?"));
  EXPECT_THAT(suggest("cosfomer", {"cosformer", "softmax"}), StartsWith("did you mean `cosformer`?"));
}

TEST(SuggestTest, NamesTheNearestFirstAndAlwaysAll) {
  EXPECT_EQ(suggest("linea", {"linformer", "linear"}), "did you mean `linear`? known: linformer, linear");
  EXPECT_THAT(suggest("steps", {"train.warmup_steps", "train.steps"}), HasSubstr("`train.steps` or"));
}

TEST(SuggestTest, DoesNotGuessAtAnythingFar) { EXPECT_EQ(suggest("xyz", {"softmax"}), "known: softmax"); }

}  // namespace
}  // namespace lra
