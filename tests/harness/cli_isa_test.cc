// $LRA_MAX_ISA as users see it: what --version says, and how a limit that cannot be kept is refused.
#include <cstdlib>

#include "tests/harness/program.h"

namespace lra::testing {
namespace {

using ::testing::AnyOf;

class CliIsaTest : public ProgramTest {
 protected:
  void SetUp() override {
    if (const char* text = std::getenv("LRA_MAX_ISA")) before_ = text;
  }
  void TearDown() override { limit(before_); }

  /// For the programs that the test starts from here on.
  static void limit(const std::string& name) {
    name.empty() ? ::unsetenv("LRA_MAX_ISA") : ::setenv("LRA_MAX_ISA", name.c_str(), 1);
  }

  nlohmann::json version() const {
    const Outcome outcome = run({"--version", "--json"});
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return outcome.json();
  }

 private:
  std::string before_;
};

TEST_F(CliIsaTest, AnUnknownNameIsRefusedByEveryCommand) {
  limit("avx2048");
  for (const Arguments& arguments : {Arguments{"--version"}, Arguments{"list", "attention"}, Arguments{"selftest"}})
    refuses(arguments, 2, {"LRA_MAX_ISA=avx2048", "sse2, avx2, avx512"});
}

TEST_F(CliIsaTest, VersionSaysWhichKernelsRun) {
  limit("");
  const nlohmann::json unlimited = version();
  EXPECT_THAT(unlimited["kernel_isa"], AnyOf("sse2", "avx2", "avx512"));
  const bool portable = unlimited["flags"].get<std::string>().find("(kernels -m") != std::string::npos;
  if (portable) {
    limit("sse2");
    const nlohmann::json limited = version();
    EXPECT_EQ(limited["kernel_isa"], "sse2");
    EXPECT_EQ(limited["isa"], "sse41");
    EXPECT_EQ(limited["flags"].get<std::string>().find("-mavx"), std::string::npos);
  } else if (unlimited["kernel_isa"] != "sse2") {
    limit("sse2");
    refuses({"--version"}, 2,
            {"LRA_MAX_ISA=sse2", "compiled for " + unlimited["kernel_isa"].get<std::string>(), "portable"});
  }
}

}  // namespace
}  // namespace lra::testing
