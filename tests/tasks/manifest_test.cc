#include "tasks/manifest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "engine/errors.h"
#include "tests/tasks/toy_dataset.h"
#include "tests/temporary_directory.h"

namespace lra::tasks {
namespace {

using nlohmann::ordered_json;
using ::testing::HasSubstr;
using testing::read_bytes;
using testing::TemporaryDirectory;
using testing::thrown_by;
using testing::write_bytes;

class ManifestTest : public ::testing::Test {
 protected:
  ManifestTest() {
    make_toy(directory_.path());
    json_ = ordered_json::parse(read_bytes(file_));
  }

  /// What reading says of the manifest with `value` at `pointer`.
  std::string refusal_of(const std::string& pointer, const ordered_json& value) const {
    ordered_json changed = json_;
    changed[ordered_json::json_pointer(pointer)] = value;
    write_bytes(file_, changed.dump());
    const auto error = thrown_by<DataError>([&] { read_manifest(file_); });
    EXPECT_THAT(error.what(), HasSubstr(file_.string()));
    EXPECT_THAT(error.hint(), HasSubstr("--force"));
    return error.what();
  }

  TemporaryDirectory directory_;
  std::filesystem::path file_ = directory_ / "toy/dataset.json";
  ordered_json json_;
};

TEST_F(ManifestTest, IsReadAsItWasWritten) { EXPECT_EQ(manifest_text(read_manifest(file_)), read_bytes(file_)); }

TEST_F(ManifestTest, NumbersThatDoNotFitAreRefusedNotCut) {
  const uint64_t above_int64 = uint64_t{1} << 63, above_int = (uint64_t{1} << 32) + 2;
  EXPECT_THAT(refusal_of("/num_classes", above_int), HasSubstr("num_classes"));
  EXPECT_THAT(refusal_of("/num_classes", 2.5), HasSubstr("num_classes"));
  EXPECT_THAT(refusal_of("/inputs_per_example", above_int - 1), HasSubstr("inputs_per_example"));
  EXPECT_THAT(refusal_of("/nominal_length", 1e300), HasSubstr("nominal_length"));
  EXPECT_THAT(refusal_of("/seed", -1), HasSubstr("seed"));
  EXPECT_THAT(refusal_of("/parameters/min_length", above_int64), HasSubstr("min_length"));
  EXPECT_THAT(refusal_of("/source/candidates", above_int64), HasSubstr("candidates"));
  EXPECT_THAT(refusal_of("/splits/train/examples", above_int64), HasSubstr("examples"));
  EXPECT_THAT(refusal_of("/arrays/train.tokens.npy/bytes", -1), HasSubstr("bytes"));
}

TEST_F(ManifestTest, AnUnknownTypeOfTokensIsRefused) {
  EXPECT_THAT(refusal_of("/token_type", "uint32"), HasSubstr("`uint32` is neither uint8 nor uint16"));
}

TEST_F(ManifestTest, DeepNestingIsRefused) {
  write_bytes(file_, R"({"schema_version": )" + std::string(1'000'000, '['));
  EXPECT_THAT(thrown_by<DataError>([&] { read_manifest(file_); }).what(), HasSubstr("deep"));
}

}  // namespace
}  // namespace lra::tasks
