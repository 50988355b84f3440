// The choice of an instruction set: what $LRA_MAX_ISA allows is kept to, what it cannot mean is refused.
#include "engine/isa.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "engine/errors.h"
#include "engine/onednn/info.h"

namespace lra::engine {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

/// $LRA_MAX_ISA for one test.
class IsaTest : public ::testing::Test {
 protected:
  IsaTest() {
    if (const char* text = std::getenv("LRA_MAX_ISA")) before_ = text;
  }
  ~IsaTest() override { set(before_); }

  static void set(const std::string& value) {
    value.empty() ? ::unsetenv("LRA_MAX_ISA") : ::setenv("LRA_MAX_ISA", value.c_str(), 1);
  }

 private:
  std::string before_;
};

TEST_F(IsaTest, KernelsAndProductsStayBelowTheLimitOfThisProcess) {
  const Isa limit = isa_limit().value_or(Isa::avx512);
  EXPECT_LE(kernel_isa(), limit);
  const std::string products = onednn::effective_isa();
  if (limit < Isa::avx512) {
    EXPECT_THAT(products, Not(StartsWith("avx512")));
  }
  if (limit < Isa::avx2) {
    EXPECT_EQ(products, "sse41");
  }
}

TEST_F(IsaTest, TheChoiceIsMadeOnce) {
  const Isa chosen = kernel_isa();
  set("");
  EXPECT_EQ(kernel_isa(), chosen);
  set("avx512");
  EXPECT_EQ(kernel_isa(), chosen);
}

TEST_F(IsaTest, LimitsHaveNames) {
  for (const Isa isa : {Isa::sse2, Isa::avx2, Isa::avx512}) {
    set(std::string(name_of(isa)));
    EXPECT_EQ(isa_limit(), isa);
  }
  set("");
  EXPECT_EQ(isa_limit(), std::nullopt);
}

TEST_F(IsaTest, UnknownNamesAreRefused) {
  for (const char* name : {"avx3", "AVX2", "avx512 ", "native"}) {
    set(name);
    EXPECT_THROW(isa_limit(), UsageError) << name;
    try {
      static_cast<void>(kernel_isa());
      FAIL() << name << " was taken";
    } catch (const UsageError& error) {
      EXPECT_THAT(error.what(), HasSubstr(name));
      EXPECT_THAT(error.hint(), HasSubstr("sse2, avx2, avx512"));
    }
  }
}

}  // namespace
}  // namespace lra::engine
