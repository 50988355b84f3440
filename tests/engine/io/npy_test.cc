#include "engine/io/npy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <limits>

#include "engine/errors.h"
#include "tests/temporary_directory.h"

namespace lra::io {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::read_bytes;
using testing::TemporaryDirectory;
using testing::thrown_by;
using testing::write_bytes;

/// A .npy file of version 1.0 with any dictionary.
std::string npy_file(const std::string& dictionary, const std::string& data, char major = 1) {
  std::string file = std::string("\x93NUMPY") + major + '\0';
  file += static_cast<char>(dictionary.size() & 0xff);
  file += static_cast<char>(dictionary.size() >> 8);
  if (major > 1) file += std::string(2, '\0');
  return file + dictionary + data;
}

std::string npy_error(const std::string& bytes) {
  const TemporaryDirectory directory;
  write_bytes(directory / "a.npy", bytes);
  const auto error = thrown_by<DataError>([&] { NpyArray array(directory / "a.npy"); });
  EXPECT_THAT(error.what(), HasSubstr((directory / "a.npy").string()));
  EXPECT_FALSE(error.hint().empty());
  return error.what();
}

template <class T>
class NpyTypeTest : public ::testing::Test {};
using ElementTypes = ::testing::Types<uint8_t, uint16_t, uint32_t, uint64_t, int32_t, int64_t, float, double>;
TYPED_TEST_SUITE(NpyTypeTest, ElementTypes);

TYPED_TEST(NpyTypeTest, RoundTripsWithItsShape) {
  const TemporaryDirectory directory;
  const std::vector<TypeParam> values{1, 2, std::numeric_limits<TypeParam>::max(), 4, 5, 6};
  const std::vector<int64_t> shape{2, 3};
  write_npy<TypeParam>(directory / "a.npy", shape, values);
  const NpyArray array(directory / "a.npy");
  EXPECT_EQ(array.shape(), shape);
  EXPECT_EQ(array.elements(), 6);
  EXPECT_EQ(array.type(), NpyTypeOf<TypeParam>::value);
  const auto read = array.as<TypeParam>();
  EXPECT_EQ(std::vector<TypeParam>(read.begin(), read.end()), values);
}

TEST(NpyTest, HeaderIsTheOneNumPyWrites) {
  const TemporaryDirectory directory;
  const std::vector<uint16_t> values{7, 8, 9};
  write_npy<uint16_t>(directory / "a.npy", std::vector<int64_t>{3}, values);
  std::string header = "{'descr': '<u2', 'fortran_order': False, 'shape': (3,), }";
  header.resize(117, ' ');
  EXPECT_EQ(read_bytes(directory / "a.npy"), npy_file(header + "\n", std::string("\7\0\10\0\11\0", 6)));
}

TEST(NpyTest, ZeroDimensionsAndZeroElementsAreArrays) {
  const TemporaryDirectory directory;
  write_npy<double>(directory / "scalar.npy", std::vector<int64_t>{}, std::vector<double>{2.5});
  write_npy<double>(directory / "empty.npy", std::vector<int64_t>{0, 5}, std::vector<double>{});
  EXPECT_THAT(NpyArray(directory / "scalar.npy").as<double>(), ElementsAre(2.5));
  EXPECT_TRUE(NpyArray(directory / "empty.npy").as<double>().empty());
}

TEST(NpyTest, VersionsTwoAndThreeAreRead) {
  const TemporaryDirectory directory;
  for (const char major : {'\2', '\3'}) {
    write_bytes(directory / "a.npy",
                npy_file("{'descr': '|u1', 'fortran_order': False, 'shape': (2,), }", "\1\2", major));
    EXPECT_THAT(NpyArray(directory / "a.npy").as<uint8_t>(), ElementsAre(1, 2));
  }
}

TEST(NpyTest, KeysMayComeInAnyOrderAndDataMayBeMisaligned) {
  const TemporaryDirectory directory;
  const float value = 1.5F;
  std::string data(sizeof value, '\0');
  std::memcpy(data.data(), &value, sizeof value);
  for (int blanks = 0; blanks < 4; ++blanks) {  // every alignment of the data
    write_bytes(directory / "a.npy",
                npy_file("{\"shape\":(1,1),'descr':'<f4','fortran_order':False}" + std::string(blanks, ' '), data));
    EXPECT_THAT(NpyArray(directory / "a.npy").as<float>(), ElementsAre(1.5F));
  }
}

TEST(NpyTest, BooleansAreReadAsBytes) {
  const TemporaryDirectory directory;
  write_bytes(directory / "a.npy",
              npy_file("{'descr': '|b1', 'fortran_order': False, 'shape': (2,)}", std::string("\1\0", 2)));
  const NpyArray array(directory / "a.npy");
  EXPECT_EQ(array.type(), NpyType::kBool);
  EXPECT_THAT(array.as<uint8_t>(), ElementsAre(1, 0));
}

TEST(NpyTest, AnotherTypeOrNumberOfDimensionsIsNamed) {
  const TemporaryDirectory directory;
  write_npy<float>(directory / "a.npy", std::vector<int64_t>{1}, std::vector<float>{1});
  const NpyArray array(directory / "a.npy");
  EXPECT_THAT(thrown_by<DataError>([&] { array.as<double>(); }).what(), HasSubstr("holds float32, but float64"));
  EXPECT_THAT(thrown_by<DataError>([&] { array.require_dimensions(2); }).what(), HasSubstr("shape (1,)"));
}

TEST(NpyTest, WrongMagicEmptyAndTruncatedFilesAreRefused) {
  const TemporaryDirectory directory;
  write_npy<float>(directory / "a.npy", std::vector<int64_t>{2}, std::vector<float>{1, 2});
  const std::string good = read_bytes(directory / "a.npy");
  EXPECT_THAT(npy_error(""), HasSubstr("not a .npy file"));
  EXPECT_THAT(npy_error("PK\3\4 an archive"), HasSubstr("not a .npy file"));
  for (size_t size = 0; size < good.size(); ++size) npy_error(good.substr(0, size));
  EXPECT_THAT(npy_error(good.substr(0, 9)), HasSubstr("truncated"));
  EXPECT_THAT(npy_error(good.substr(0, good.size() - 1)), HasSubstr("truncated"));
  EXPECT_THAT(npy_error(good + "x"), HasSubstr("too long"));
}

TEST(NpyTest, WhatItCannotReadIsRefusedByName) {
  const std::string shape = "'shape': (1,), }";
  EXPECT_THAT(npy_error(npy_file("{'descr': '>f4', 'fortran_order': False, " + shape, "1234")),
              HasSubstr("big-endian"));
  EXPECT_THAT(npy_error(npy_file("{'descr': '<f4', 'fortran_order': True, " + shape, "1234")), HasSubstr("Fortran"));
  EXPECT_THAT(npy_error(npy_file("{'descr': '<f2', 'fortran_order': False, " + shape, "12")), HasSubstr("`<f2`"));
  EXPECT_THAT(npy_error(npy_file("{'descr': [('a', '<f4')], 'fortran_order': False, " + shape, "1234")),
              HasSubstr("structured"));
  EXPECT_THAT(npy_error(npy_file("{'descr': '<f4', 'fortran_order': False, " + shape, "1234", 4)), HasSubstr("4.0"));
}

TEST(NpyTest, HostileHeadersAreRefused) {
  const std::string start = "{'descr': '<f8', 'fortran_order': False, 'shape': ";
  EXPECT_THAT(npy_error(npy_file(start + "(4294967296, 4294967296), }", "")), HasSubstr("2^63"));
  EXPECT_THAT(npy_error(npy_file(start + "(1152921504606846976,), }", "")), HasSubstr("2^63"));
  EXPECT_THAT(npy_error(npy_file(start + "(99999999999999999999,), }", "")), HasSubstr("dimension"));
  EXPECT_THAT(npy_error(npy_file(start + "(-1,), }", "")), HasSubstr("dimension"));
  EXPECT_THAT(npy_error(npy_file(start + "(1 2), }", "")), HasSubstr("`)`"));
  EXPECT_THAT(npy_error(npy_file(start + "(1,", "")), HasSubstr("dimension"));
  EXPECT_THAT(npy_error(npy_file(start + "(0,), 'shape': (0,), }", "")), HasSubstr("repeated"));
  EXPECT_THAT(npy_error(npy_file(start + "(0,), 'x': 1 }", "")), HasSubstr("unexpected"));
  EXPECT_THAT(npy_error(npy_file("{'descr': '<f8', 'shape': (0,), }", "")), HasSubstr("lacks"));
  EXPECT_THAT(npy_error(npy_file("", "")), HasSubstr("`{`"));
  EXPECT_THAT(npy_error(npy_file("{'descr", "")), HasSubstr("unterminated"));
  EXPECT_THAT(npy_error(npy_file(start + "(0,), } import os", "")), HasSubstr("after the dictionary"));
  std::string many = "(";
  for (int i = 0; i < 40; ++i) many += "1,";
  EXPECT_THAT(npy_error(npy_file(start + many + "), }", "12345678")), HasSubstr("32 dimensions"));
}

TEST(NpyStreamWriterTest, UnknownRowsAreCountedAndTheFileAppearsAtTheEnd) {
  const TemporaryDirectory directory;
  NpyStreamWriter writer(directory / "a.npy", NpyType::kUint16, {2});
  const std::vector<uint16_t> large(3'000'001, 7);  // more than its buffer, ending inside a row
  writer.append(std::span<const uint16_t>(large));
  const std::vector<uint16_t> small{8, 9, 10};
  writer.append(std::span<const uint16_t>(small));
  EXPECT_FALSE(std::filesystem::exists(directory / "a.npy"));
  writer.finish();
  const NpyArray array(directory / "a.npy");
  EXPECT_THAT(array.shape(), ElementsAre(1'500'002, 2));
  EXPECT_THAT(array.as<uint16_t>().subspan(3'000'000), ElementsAre(7, 8, 9, 10));
}

TEST(NpyStreamWriterTest, KnownRowsGiveTheBytesOfAWholeWrite) {
  const TemporaryDirectory directory;
  const std::vector<double> values{1, 2, 3, 4};
  NpyStreamWriter writer(directory / "stream.npy", NpyType::kFloat64, {2}, 2);
  writer.append(std::span<const double>(values));
  writer.finish();
  write_npy<double>(directory / "whole.npy", std::vector<int64_t>{2, 2}, values);
  EXPECT_EQ(read_bytes(directory / "stream.npy"), read_bytes(directory / "whole.npy"));
}

TEST(NpyStreamWriterTest, MistakesOfTheProgrammerAreCaught) {
  const TemporaryDirectory directory;
  const std::vector<float> three{1, 2, 3};
  NpyStreamWriter inside(directory / "a.npy", NpyType::kFloat32, {2});
  inside.append(std::span<const float>(three));
  EXPECT_THROW(inside.finish(), std::logic_error);
  NpyStreamWriter declared(directory / "b.npy", NpyType::kFloat32, {}, 4);
  declared.append(std::span<const float>(three));
  EXPECT_THROW(declared.finish(), std::logic_error);
  NpyStreamWriter typed(directory / "c.npy", NpyType::kFloat64);
  EXPECT_THROW(typed.append(std::span<const float>(three)), std::logic_error);
}

}  // namespace
}  // namespace lra::io
