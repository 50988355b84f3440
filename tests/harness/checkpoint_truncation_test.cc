// A checkpoint that was cut anywhere is refused, and the learner that was to be resumed keeps what it had.
#include <gtest/gtest.h>

#include <cstring>
#include <set>

#include "engine/errors.h"
#include "engine/io/safetensors.h"
#include "harness/checkpoint.h"
#include "tests/harness/tiny_model.h"
#include "tests/temporary_directory.h"

namespace lra::harness {
namespace {

using lra::testing::read_bytes;
using lra::testing::TemporaryDirectory;
using lra::testing::write_bytes;

constexpr const char* kHash = "0123456789ab";
constexpr int64_t kLengths[] = {16};

class CheckpointTruncationTest : public ::testing::Test {
 protected:
  CheckpointTruncationTest() {
    save_checkpoint(file_, kHash, {.step = 300, .metrics_bytes = 100}, learner_);
    whole_ = read_bytes(file_);
    std::memcpy(&header_bytes_, whole_.data(), sizeof(header_bytes_));
    weights_.assign(learner_.weights().begin(), learner_.weights().end());
  }

  /// The length word and both ends of the header at every byte, its middle at every 16th; the beginning and end of each
  /// tensor, and a byte to either side.
  std::set<size_t> boundaries() const {
    std::set<size_t> places;
    const size_t data_at = sizeof(header_bytes_) + header_bytes_;
    constexpr size_t kEnds = 64, kStride = 16;
    for (size_t place = 0; place <= data_at; ++place)
      if (place < kEnds || place + kEnds > data_at || place % kStride == 0) places.insert(place);
    size_t at = data_at;
    const io::SafetensorsFile file(file_);
    for (const io::SafetensorsTensor& tensor : file.tensors()) {
      at += tensor.data.size();
      places.insert({at - 1, at, at + 1});
    }
    EXPECT_EQ(at, whole_.size());
    places.erase(whole_.size());
    places.erase(whole_.size() + 1);
    return places;
  }

  TemporaryDirectory directory_;
  std::filesystem::path file_ = directory_ / "last.safetensors";
  TrainConfig config_ = testing::tiny_config("linear", 16);
  Model model_{config_, testing::kTask, engine::Dtype::f32, engine::Kernels::fused};
  Learner learner_{model_, {.threads = 1}, kLengths, kLengths};
  std::string whole_;
  uint64_t header_bytes_ = 0;
  std::vector<float> weights_;
};

TEST_F(CheckpointTruncationTest, EveryBoundaryIsRefused) {
  const std::set<size_t> places = boundaries();
  ASSERT_GT(places.size(), 500U);
  for (const size_t bytes : places) {
    write_bytes(file_, std::string_view(whole_).substr(0, bytes));
    EXPECT_THROW(load_checkpoint(file_, kHash, learner_), DataError) << bytes << " of " << whole_.size() << " bytes";
    EXPECT_THROW(load_weights(file_, kHash, model_.parameters(), learner_.weights()), DataError) << bytes;
  }
  EXPECT_TRUE(std::equal(weights_.begin(), weights_.end(), learner_.weights().begin()));
  write_bytes(file_, whole_);
  EXPECT_EQ(load_checkpoint(file_, kHash, learner_).step, 300);
}

/// The same file with other text of the same length in place of `from`, and without a digest that would tell.
std::string altered(std::string bytes, const std::string& from, const std::string& to) {
  EXPECT_EQ(from.size(), to.size());
  const std::string digest = "\"sha256\"";
  bytes.replace(bytes.find(digest), digest.size(), "\"sha999\"");
  const size_t at = bytes.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return at == std::string::npos ? bytes : bytes.replace(at, from.size(), to);
}

TEST_F(CheckpointTruncationTest, ImpossibleStatesAreRefused) {
  for (const auto& [from, to] :
       {std::pair{R"(\"metrics_bytes\":100,)", R"(\"metrics_bytes\":-10,)"},
        std::pair{R"(\"metrics_bytes\":100,)", R"(\"metrics_bytes\":1e9,)"},
        std::pair{R"(\"step\":300,)", R"(\"step\":[0],)"}, std::pair{R"(\"step\":300,)", R"(\"step\":-10,)"}}) {
    write_bytes(file_, altered(whole_, from, to));
    EXPECT_THROW(load_checkpoint(file_, kHash, learner_), DataError) << to;
  }
}

}  // namespace
}  // namespace lra::harness
