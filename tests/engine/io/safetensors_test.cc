#include "engine/io/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

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

std::string file_of(const std::string& header, const std::string& data, uint64_t claimed_bytes) {
  std::string file(sizeof claimed_bytes, '\0');
  std::memcpy(file.data(), &claimed_bytes, sizeof claimed_bytes);
  return file + header + data;
}

std::string file_of(const std::string& header, const std::string& data) { return file_of(header, data, header.size()); }

std::string safetensors_error(const std::string& bytes) {
  const TemporaryDirectory directory;
  write_bytes(directory / "a.safetensors", bytes);
  const auto error = thrown_by<DataError>([&] { SafetensorsFile file(directory / "a.safetensors"); });
  EXPECT_THAT(error.what(), HasSubstr((directory / "a.safetensors").string()));
  EXPECT_THAT(error.hint(), HasSubstr("copy the file again"));
  return error.what();
}

/// {"<name>": a U8 tensor with this shape and these offsets}, to be joined by commas.
std::string entry(const std::string& name, const std::string& shape, const std::string& offsets,
                  const std::string& dtype = "U8") {
  return "\"" + name + R"(":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}";
}

TEST(SafetensorsTest, RoundTripsTypesShapesAndMetadata) {
  const TemporaryDirectory directory;
  const std::vector<uint8_t> bytes{1, 2, 3};
  const std::vector<float> floats{1.5F, -2.5F};
  const std::vector<double> doubles{3.25};
  const std::vector<int64_t> integers{-4, 5};
  const std::vector<uint64_t> counters{UINT64_MAX};
  const std::vector<SafetensorsTensor> tensors{
      make_tensor<uint8_t>("bytes", {3}, bytes),  make_tensor<float>("w/é", {1, 2}, floats),
      make_tensor<double>("scalar", {}, doubles), make_tensor<int64_t>("i", {2}, integers),
      make_tensor<uint64_t>("u", {1}, counters),  make_tensor<float>("none", {0, 7}, {})};
  write_safetensors(directory / "a", tensors, {{"step", "12"}, {"quote", "\"\n"}});
  const SafetensorsFile file(directory / "a");
  EXPECT_EQ(file.tensors().size(), tensors.size());
  EXPECT_EQ(file.values<uint8_t>("bytes"), bytes);
  EXPECT_EQ(file.values<float>("w/é"), floats);
  EXPECT_EQ(file.values<double>("scalar"), doubles);
  EXPECT_EQ(file.values<int64_t>("i"), integers);
  EXPECT_EQ(file.values<uint64_t>("u"), counters);
  EXPECT_TRUE(file.values<float>("none").empty());
  EXPECT_THAT(file.at("w/é").shape, ElementsAre(1, 2));
  EXPECT_TRUE(file.at("scalar").shape.empty());
  EXPECT_EQ(file.metadata(), (std::map<std::string, std::string>{{"step", "12"}, {"quote", "\"\n"}}));
}

TEST(SafetensorsTest, DataAreAlignedAndEqualInputGivesEqualBytes) {
  const TemporaryDirectory directory;
  const std::vector<uint8_t> bytes{1};
  const std::vector<double> doubles{2};
  const std::vector<SafetensorsTensor> tensors{make_tensor<uint8_t>("b", {1}, bytes),
                                               make_tensor<double>("d", {1}, doubles)};
  write_safetensors(directory / "a", tensors);
  write_safetensors(directory / "b", tensors);
  const std::string file = read_bytes(directory / "a");
  EXPECT_EQ(file, read_bytes(directory / "b"));
  EXPECT_EQ((file.size() - 9) % 64, 0U);
  EXPECT_EQ(file[8], '{');
  const SafetensorsFile read(directory / "a");
  EXPECT_EQ(reinterpret_cast<uintptr_t>(read.at("d").data.data()) % alignof(double), 0U);
}

TEST(SafetensorsTest, AFileWithoutTensorsIsValid) {
  const TemporaryDirectory directory;
  write_safetensors(directory / "a", {});
  EXPECT_TRUE(SafetensorsFile(directory / "a").tensors().empty());
}

TEST(SafetensorsTest, MisalignedValuesOfOtherWritersAreCopied) {
  const TemporaryDirectory directory;
  const double value = 0.5;
  std::string data(1 + sizeof value, '\7');
  std::memcpy(data.data() + 1, &value, sizeof value);
  write_bytes(directory / "a",
              file_of("{" + entry("b", "[1]", "[0,1]") + "," + entry("d", "[1]", "[1,9]", "F64") + "}", data));
  EXPECT_THAT(SafetensorsFile(directory / "a").values<double>("d"), ElementsAre(0.5));
}

TEST(SafetensorsTest, MissingNamesAndOtherTypesAreDataErrors) {
  const TemporaryDirectory directory;
  const std::vector<float> one{1};
  write_safetensors(directory / "a", std::vector{make_tensor<float>("encoder.weight", {1}, one)});
  const SafetensorsFile file(directory / "a");
  EXPECT_EQ(file.find("x"), nullptr);
  EXPECT_THAT(thrown_by<DataError>([&] { file.at("encoder.wieght"); }).hint(), HasSubstr("`encoder.weight`"));
  EXPECT_THAT(thrown_by<DataError>([&] { file.values<double>("encoder.weight"); }).what(),
              HasSubstr("holds F32, but F64 is needed"));
}

TEST(SafetensorsTest, NamesThatCannotBeWrittenAreUsageErrors) {
  const TemporaryDirectory directory;
  const auto write = [&](std::vector<std::string> names) {
    std::vector<SafetensorsTensor> tensors;
    for (const std::string& name : names) tensors.push_back({.name = name, .shape = {0}, .data = {}});
    write_safetensors(directory / "a", tensors);
  };
  EXPECT_THROW(write({"a", "a"}), UsageError);
  EXPECT_THROW(write({""}), UsageError);
  EXPECT_THROW(write({"__metadata__"}), UsageError);
  EXPECT_THROW(write({"\xff"}), UsageError);
  EXPECT_FALSE(std::filesystem::exists(directory / "a"));
}

TEST(SafetensorsTest, BrokenHeadersAreRefused) {
  EXPECT_THAT(safetensors_error(""), HasSubstr("0 bytes"));
  EXPECT_THAT(safetensors_error("1234567"), HasSubstr("7 bytes"));
  EXPECT_THAT(safetensors_error(file_of("{}", "", 100'000'001)), HasSubstr("limit is 100000000"));
  EXPECT_THAT(safetensors_error(file_of("{}", "", UINT64_MAX)), HasSubstr("limit"));
  EXPECT_THAT(safetensors_error(file_of("{}", "", 3)), HasSubstr("truncated"));
  EXPECT_THAT(safetensors_error(file_of("{", "")), HasSubstr("not JSON"));
  EXPECT_THAT(safetensors_error(file_of("", "")), HasSubstr("not JSON"));
  EXPECT_THAT(safetensors_error(file_of("[]", "")), HasSubstr("not a JSON object"));
  EXPECT_THAT(safetensors_error(file_of("{\"a\xff\":1}", "")), HasSubstr("not JSON"));
  EXPECT_THAT(safetensors_error(file_of(std::string(10'000, '['), "")), HasSubstr("nested"));
  EXPECT_THAT(safetensors_error(file_of(R"({"__metadata__":{"a":1}})", "")), HasSubstr("`a` is not a text"));
  EXPECT_THAT(safetensors_error(file_of(R"({"__metadata__":"a"})", "")), HasSubstr("__metadata__"));
}

TEST(SafetensorsTest, RepeatedNamesAreRefused) {
  EXPECT_THAT(
      safetensors_error(file_of("{" + entry("a", "[1]", "[0,1]") + "," + entry("a", "[1]", "[1,2]") + "}", "12")),
      HasSubstr("repeats the name `a`"));
  EXPECT_THAT(safetensors_error(file_of(R"({"a":{"dtype":"U8","shape":[1],"shape":[2],"data_offsets":[0,1]}})", "1")),
              HasSubstr("repeats the name `shape`"));
}

TEST(SafetensorsTest, OffsetsThatDoNotTileTheDataAreRefused) {
  const auto two = [](const std::string& first, const std::string& second) {
    return file_of("{" + entry("a", "[2]", first) + "," + entry("b", "[2]", second) + "}", "12345");
  };
  EXPECT_THAT(safetensors_error(two("[0,2]", "[1,3]")), HasSubstr("`b`: its data overlap"));
  EXPECT_THAT(safetensors_error(two("[0,2]", "[3,5]")), HasSubstr("`b`: there is a hole"));
  EXPECT_THAT(safetensors_error(two("[1,3]", "[3,5]")), HasSubstr("`a`: there is a hole"));
  EXPECT_THAT(safetensors_error(two("[0,2]", "[2,4]")), HasSubstr("1 bytes at its end"));
  EXPECT_THAT(safetensors_error(two("[0,2]", "[4,6]")), HasSubstr("outside the 5 bytes"));
  EXPECT_THAT(safetensors_error(two("[2,0]", "[2,4]")), HasSubstr("outside"));
  EXPECT_THAT(safetensors_error(two("[0,18446744073709551615]", "[2,4]")), HasSubstr("outside"));
}

TEST(SafetensorsTest, EntriesThatContradictThemselvesAreRefused) {
  const auto one = [](const std::string& text) { return file_of("{" + text + "}", "12"); };
  EXPECT_THAT(safetensors_error(one(entry("a", "[3]", "[0,2]"))), HasSubstr("takes 3 bytes, but its data have 2"));
  EXPECT_THAT(safetensors_error(one(entry("a", "[4294967296,4294967296,4294967296]", "[0,2]"))), HasSubstr("2^64"));
  EXPECT_THAT(safetensors_error(one(entry("a", "[18446744073709551615]", "[0,2]"))), HasSubstr("below 2^63"));
  EXPECT_THAT(safetensors_error(one(entry("a", "[-2]", "[0,2]"))), HasSubstr("below 2^63"));
  EXPECT_THAT(safetensors_error(one(entry("a", "[2.0]", "[0,2]"))), HasSubstr("below 2^63"));
  EXPECT_THAT(safetensors_error(one(entry("a", "2", "[0,2]"))), HasSubstr("malformed"));
  EXPECT_THAT(safetensors_error(one(entry("a", "[2]", "[0]"))), HasSubstr("two whole numbers"));
  EXPECT_THAT(safetensors_error(one(entry("a", "[2]", "[0,-2]"))), HasSubstr("two whole numbers"));
  EXPECT_THAT(safetensors_error(one(entry("a", "[1]", "[0,2]", "BF16"))), HasSubstr("BF16"));
  EXPECT_THAT(safetensors_error(one(R"("a":{"dtype":"U8","shape":[2]})")), HasSubstr("exactly"));
  EXPECT_THAT(safetensors_error(one(R"("a":7)")), HasSubstr("exactly"));
}

}  // namespace
}  // namespace lra::io
