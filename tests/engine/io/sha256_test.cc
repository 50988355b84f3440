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
