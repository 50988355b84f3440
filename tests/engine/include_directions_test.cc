// The rooms of the house: every #include points the way that the architecture allows, and no other.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <vector>

namespace lra {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

/// Which rooms the files of a room may include from; their own always.
const std::map<std::string, std::set<std::string>> kAllowed = {
    {"engine", {}},
    {"attention", {"engine"}},
    {"tasks", {"engine"}},
    {"reports", {}},
    {"harness", {"engine", "attention", "tasks", "reports"}},
};

/// Single files that other rooms may include besides.
const std::set<std::string> kOpenToAll = {"engine/embedded.h"};

struct Include {
  std::string from;  // "harness/model/model.h"
  std::string to;    // what stands between the quotes or brackets
};

bool is_source(const std::filesystem::path& path) { return path.extension() == ".h" || path.extension() == ".cc"; }

std::string room(const std::string& path) { return path.substr(0, path.find('/')); }

std::vector<Include> read_includes(const std::string& text, const std::string& from) {
  static const std::regex kPattern(R"re(^[ \t]*#[ \t]*include[ \t]*["<]([^">]+)[">])re", std::regex::multiline);
  std::vector<Include> includes;
  for (std::sregex_iterator it(text.begin(), text.end(), kPattern), end; it != end; ++it)
    includes.push_back({from, (*it)[1]});
  return includes;
}

std::vector<Include> includes_of_the_tree() {
  std::vector<Include> includes;
  const std::filesystem::path root = LRA_SOURCE_DIR;
  for (const auto& [name, allowed] : kAllowed)
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root / name)) {
      if (!entry.is_regular_file() || !is_source(entry.path())) continue;
      std::ifstream file(entry.path());
      const std::string text(std::istreambuf_iterator<char>(file), {});
      const std::vector<Include> found = read_includes(text, entry.path().lexically_relative(root).generic_string());
      includes.insert(includes.end(), found.begin(), found.end());
    }
  return includes;
}

/// Why an include is wrong; empty when it is right.
std::string objection(const Include& include) {
  const std::string here = room(include.from), there = room(include.to);
  const bool in_onednn = include.from.starts_with("engine/onednn/");
  if (there == "tests") return "the program does not include its tests";
  const bool vendor = include.to.find("dnnl") != std::string::npos || include.to.find("mkldnn") != std::string::npos;
  if (vendor && !in_onednn) return "oneDNN is included in engine/onednn only";
  if (kAllowed.contains(there) && there != here && !kAllowed.at(here).contains(there) &&
      !kOpenToAll.contains(include.to))
    return here + " may not depend on " + there;
  return "";
}

TEST(IncludeDirectionsTest, EveryIncludePointsTheAllowedWay) {
  std::vector<std::string> wrong;
  for (const Include& include : includes_of_the_tree())
    if (const std::string why = objection(include); !why.empty())
      wrong.push_back(include.from + " includes " + include.to + ": " + why);
  EXPECT_THAT(wrong, IsEmpty());
}

TEST(IncludeDirectionsTest, TheWholeTreeWasRead) {
  std::map<std::string, size_t> counts;
  for (const Include& include : includes_of_the_tree()) ++counts[room(include.from)];
  for (const auto& [name, allowed] : kAllowed) EXPECT_GT(counts[name], 10U) << name;
}

TEST(IncludeDirectionsTest, HeadersOfOneDnnNameNoVendorTypeInPublic) {
  // Others include engine/onednn/*.h: those that they include must not pull in the vendor's headers.
  std::set<std::string> with_vendor_headers;
  const std::vector<Include> includes = includes_of_the_tree();
  for (const Include& include : includes)
    if (include.from.ends_with(".h") && include.to.find("dnnl") != std::string::npos)
      with_vendor_headers.insert(include.from);
  for (const Include& include : includes) {
    if (include.from.starts_with("engine/onednn/")) continue;
    EXPECT_FALSE(with_vendor_headers.contains(include.to)) << include.from << " includes " << include.to;
  }
}

TEST(IncludeDirectionsTest, WrongArrowsWouldBeSeen) {
  for (const auto& [from, to] : {std::pair<std::string, std::string>{"engine/plan.cc", "attention/registry.h"},
                                 {"engine/plan.cc", "harness/config.h"},
                                 {"attention/linear.cc", "tasks/split.h"},
                                 {"tasks/split.cc", "attention/registry.h"},
                                 {"reports/record.cc", "engine/errors.h"},
                                 {"reports/record.cc", "harness/config.h"},
                                 {"attention/linear.cc", "harness/config.h"},
                                 {"harness/bench.cc", "oneapi/dnnl/dnnl.hpp"},
                                 {"engine/plan.cc", "dnnl.h"},
                                 {"harness/bench.cc", "tests/engine/plan_testing.h"}})
    EXPECT_NE(objection({from, to}), "") << from << " " << to;
  for (const auto& [from, to] : {std::pair<std::string, std::string>{"harness/bench.cc", "reports/record.h"},
                                 {"reports/schema.cc", "engine/embedded.h"},
                                 {"engine/onednn/matmul.cc", "dnnl.hpp"},
                                 {"engine/plan.cc", "vector"}})
    EXPECT_EQ(objection({from, to}), "") << from << " " << to;
  EXPECT_THAT(read_includes("#include <a>\n  #  include \"b/c.h\"\n// #include <d>\n", "x"), SizeIs(2));
}

}  // namespace
}  // namespace lra
