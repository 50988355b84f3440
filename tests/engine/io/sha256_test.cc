#include "engine/io/sha256.h"

#include <gtest/gtest.h>

#include <vector>

#include "engine/errors.h"
#include "tests/temporary_directory.h"

namespace lra::io {
namespace {

TEST(Sha256Test, GivesTheDigestsOfTheStandard) {  // FIPS 180-4 examples
  EXPECT_EQ(sha256_hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Sha256Test, InPiecesEqualsAtOnce) {
  Sha256 hash;
  hash.update("a");
  hash.update("");
  hash.update("bc");
  EXPECT_EQ(hash.hex_digest(), sha256_hex("abc"));
}

TEST(Sha256Test, GoesOnFromItsStateAndFromACopy) {
  const std::string text(1000, 'x');
  for (const size_t cut : {0, 1, 55, 63, 64, 65, 128, 999, 1000}) {
    Sha256 first;
    first.update(std::string_view(text).substr(0, cut));
    Sha256 from_state = Sha256::from_state(first.state());
    Sha256 copy = first;
    first.update("something else");
    for (Sha256* hash : {&from_state, &copy}) {
      hash->update(std::string_view(text).substr(cut));
      EXPECT_EQ(hash->hex_digest(), sha256_hex(text)) << cut;
    }
  }
}

TEST(Sha256Test, RefusesWhatIsNoState) {
  const std::string state = Sha256().state();
  for (const std::string& text : {std::string(), state.substr(1), state.substr(2), state + std::string(128, '0'),
                                  std::string(state.size(), 'g')}) {
    EXPECT_THROW(Sha256::from_state(text), DataError) << text;
  }
}

TEST(Sha256Test, OfAFileEqualsThatOfItsBytes) {
  const testing::TemporaryDirectory directory;
  testing::write_bytes(directory / "a", "abc");
  testing::write_bytes(directory / "empty", "");
  EXPECT_EQ(sha256_file(directory / "a"), sha256_hex("abc"));
  EXPECT_EQ(sha256_file(directory / "empty"), sha256_hex(""));
  EXPECT_THROW(sha256_file(directory / "no"), DataError);
  EXPECT_THROW(sha256_file(directory.path()), DataError);
}

TEST(Sha256Test, OfALongFileReportsItsWayAndCanBeStopped) {
  const testing::TemporaryDirectory directory;
  const std::string bytes((size_t{2} << 20) + 1, 'x');
  testing::write_bytes(directory / "long", bytes);
  std::vector<uint64_t> seen;
  const auto note = [&](uint64_t done_bytes, uint64_t total_bytes) {
    seen.push_back(done_bytes);
    EXPECT_EQ(total_bytes, bytes.size());
  };
  EXPECT_EQ(sha256_file(directory / "long", note), sha256_hex(bytes));
  ASSERT_GE(seen.size(), 2U);
  EXPECT_EQ(seen.back(), bytes.size());
  EXPECT_THROW(sha256_file(directory / "long", [](uint64_t, uint64_t) { throw 1; }), int);
}

}  // namespace
}  // namespace lra::io
