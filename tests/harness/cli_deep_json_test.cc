// JSON nested so deeply that copying or printing it would overflow the stack: refused wherever a user can give it.
#include "tests/harness/program.h"

namespace lra::testing {
namespace {

constexpr size_t kDepth = 100'000;  // an argument of the command line holds no more than 128 KiB

std::string nested(const std::string& open, const std::string& close) {
  std::string text;
  for (size_t i = 0; i < kDepth; ++i) text += open;
  text += "1";
  for (size_t i = 0; i < kDepth; ++i) text += close;
  return text;
}

class DeepJsonTest : public ProgramTest {};

TEST_F(DeepJsonTest, ConfigurationsAndPresets) {
  make_data();
  for (const std::string& json : {nested("{\"a\":", "}"), "{\"attention\":{\"x\":" + nested("[", "]") + "}}",
                                  "{\"notes\":" + nested("[", "]") + "}"}) {
    write_bytes(path("deep.json"), json);
    const Arguments training = {"train", "--task", "listops", "--attention", "softmax", "--data", text("data")};
    refuses(training + Arguments{"--config", text("deep.json")}, 2, {"deep.json", "64 deep"});
    refuses(training + Arguments{"--preset", text("deep.json")}, 2, {"deep.json", "64 deep"});
  }
}

TEST_F(DeepJsonTest, AssignmentsAreTexts) {
  make_data();
  const std::string deep = std::string(kDepth / 2, '[') + std::string(kDepth / 2, ']');
  expect_refused(run(train({"--set", "attention.x=" + deep})), 2, {"softmax", "no parameter attention.x"});
}

TEST_F(DeepJsonTest, RecordsConfigurationsOfRunsAndManifests) {
  make_data();
  ASSERT_EQ(run(train()).exit_code, 0);
  const std::string deep = "{\"attention\":{\"parameters\":" + nested("{\"a\":", "}") + "}}";
  write_bytes(run_directory() / "result.json", deep);
  refuses(train({"--resume"}), 3, {"result.json", "deep"});
  write_bytes(run_directory() / "config.json", deep);
  refuses({"eval", run_directory().string(), "--data", text("data")}, 3, {"config.json", "deep"});
  write_bytes(path("data") / "listops" / "dataset.json", deep);
  refuses({"data", "verify", "listops", "--data", text("data")}, 3, {"dataset.json", "deep"});
}

}  // namespace
}  // namespace lra::testing
