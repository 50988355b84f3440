#include "tasks/listops/generator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <set>
#include <sstream>

#include "engine/errors.h"
#include "tasks/listops/expression.h"
#include "tests/temporary_directory.h"

namespace lra::tasks::listops {
namespace {

using ::testing::HasSubstr;
using testing::thrown_by;

/// Figures of the official generator with its default flags: 201,200 root trees, 16,821 accepted.
namespace reference {
constexpr double kExamples = 16821;
constexpr double kAcceptance = 0.0836034;
constexpr double kMeanLength = 1034.815;
constexpr double kDeviation = 391.716;
constexpr std::array kQuantiles{0.05, 0.25, 0.5, 0.75, 0.95};
constexpr std::array kLengths{538.0, 704.0, 954.0, 1307.0, 1790.0};
constexpr std::array kLabelShares{0.17228, 0.09096, 0.07497, 0.08549, 0.08864,
                                  0.08590, 0.07461, 0.07253, 0.08822, 0.16640};
constexpr std::array kRootArguments{0.04411, 0.06510, 0.08252, 0.10368, 0.11723,
                                    0.13727, 0.13994, 0.14809, 0.16206};  // 2..10
constexpr double kOperatorsPerRow = 148.220;
constexpr double kDigitsPerRow = 745.047;
/// Labels in percent given the root operator, in the order of the tokens: MIN, MAX, MED, SM.
constexpr double kLabelsByRoot[kOperators][kDigits] = {
    {0.5713, 0.2196, 0.0951, 0.0518, 0.0290, 0.0193, 0.0082, 0.0028, 0.0019, 0.0009},
    {0.0007, 0.0017, 0.0045, 0.0076, 0.0138, 0.0306, 0.0551, 0.1022, 0.2212, 0.5626},
    {0.0124, 0.0392, 0.0966, 0.1745, 0.2141, 0.1969, 0.1413, 0.0868, 0.0308, 0.0074},
    {0.0995, 0.1019, 0.1038, 0.1091, 0.0990, 0.0981, 0.0950, 0.0993, 0.0995, 0.0947},
};
}  // namespace reference

/// Five standard errors of the difference of two shares, measured on `a` and `b` examples.
double share_tolerance(double share, double a, double b) {
  return 5 * std::sqrt(std::max(share, 1e-3) * (1 - share) * (1 / a + 1 / b));
}

/// One corpus for all statistics.
const Corpus& sample() {
  static const Corpus corpus = draw_corpus({}, 7, 20'000, 2, {});
  return corpus;
}

/// Nesting written as recursion over a text, to check the evaluator against something that shares no code with it.
class StackParser {
 public:
  explicit StackParser(const std::string& text) : stream_(text) {}

  int parse() {
    std::string symbol;
    do {
      stream_ >> symbol;
    } while (symbol == "(" || symbol == ")");
    if (symbol.size() == 1 && symbol != "]") return std::stoi(symbol);
    if (symbol == "]") return -1;
    std::vector<int> values;
    for (int value = parse(); value >= 0; value = parse()) values.push_back(value);
    std::sort(values.begin(), values.end());
    const size_t n = values.size();
    if (symbol == "[MIN") return values.front();
    if (symbol == "[MAX") return values.back();
    if (symbol == "[SM") return std::accumulate(values.begin(), values.end(), 0) % 10;
    return n % 2 == 1 ? values[n / 2] : static_cast<int>((values[n / 2 - 1] + values[n / 2]) / 2.0);
  }

 private:
  std::istringstream stream_;
};

int root_arguments(std::span<const uint8_t> tokens) {
  int depth = 0;
  int arguments = 0;
  for (const uint8_t token : tokens) {
    if (token == kClose) --depth;
    if (depth == 1 && token != kClose) ++arguments;
    if (is_operator(token)) ++depth;
  }
  return arguments;
}

int levels(std::span<const uint8_t> tokens) {
  int depth = 1;
  int deepest = 1;
  for (const uint8_t token : tokens) {
    depth += is_operator(token) ? 1 : token == kClose ? -1 : 0;
    deepest = std::max(deepest, depth);
  }
  return deepest;
}

TEST(GeneratorTest, AcceptsOfficialShareOfRootTrees) {
  const double rate = static_cast<double>(sample().size()) / static_cast<double>(sample().candidates());
  EXPECT_NEAR(rate, reference::kAcceptance, 0.002);
  EXPECT_EQ(sample().duplicates(), 0);
}

TEST(GeneratorTest, LengthsHaveTheOfficialDistribution) {
  std::vector<double> lengths;
  for (int64_t i = 0; i < sample().size(); ++i) lengths.push_back(static_cast<double>(sample().tokens(i).size()));
  std::sort(lengths.begin(), lengths.end());
  EXPECT_GE(lengths.front(), 501);
  EXPECT_LE(lengths.back(), 1999);
  const auto n = static_cast<double>(lengths.size());
  const double error = reference::kDeviation * std::sqrt(1 / n + 1 / reference::kExamples);
  EXPECT_NEAR(std::accumulate(lengths.begin(), lengths.end(), 0.0) / n, reference::kMeanLength, 5 * error);
  for (size_t q = 0; q < reference::kQuantiles.size(); ++q) {
    const auto below = std::upper_bound(lengths.begin(), lengths.end(), reference::kLengths[q]) - lengths.begin();
    EXPECT_NEAR(static_cast<double>(below) / n, reference::kQuantiles[q],
                share_tolerance(reference::kQuantiles[q], n, reference::kExamples))
        << "share up to length " << reference::kLengths[q];
  }
}

TEST(GeneratorTest, LabelsAndRootsHaveTheOfficialShares) {
  double by_root[kOperators][kDigits] = {};
  std::array<double, kDigits> labels{};
  std::array<double, kOperators> roots{};
  std::array<double, 11> arguments{};
  const auto n = static_cast<double>(sample().size());
  for (int64_t i = 0; i < sample().size(); ++i) {
    const auto tokens = sample().tokens(i);
    const auto label = static_cast<size_t>(sample().value(i));
    const auto root = static_cast<size_t>(tokens[0] - kMin);
    by_root[root][label] += 1;
    labels[label] += 1 / n;
    roots[root] += 1;
    arguments[static_cast<size_t>(root_arguments(tokens))] += 1 / n;
  }
  for (size_t d = 0; d < kDigits; ++d) {
    const double share = reference::kLabelShares[d];
    EXPECT_NEAR(labels[d], share, share_tolerance(share, n, reference::kExamples)) << "label " << d;
  }
  for (size_t root = 0; root < kOperators; ++root) {
    EXPECT_NEAR(roots[root] / n, 0.25, share_tolerance(0.25, n, reference::kExamples));
    for (size_t d = 0; d < kDigits; ++d) {
      const double share = reference::kLabelsByRoot[root][d];
      EXPECT_NEAR(by_root[root][d] / roots[root], share, share_tolerance(share, n / 4, reference::kExamples / 4))
          << vocabulary()[kMin + root] << " giving " << d;
    }
  }
  for (size_t k = 0; k < reference::kRootArguments.size(); ++k) {
    const double share = reference::kRootArguments[k];
    EXPECT_NEAR(arguments[k + 2], share, share_tolerance(share, n, reference::kExamples)) << k + 2 << " arguments";
  }
}

TEST(GeneratorTest, NodesHaveTheOfficialShares) {
  std::array<double, 17> counts{};
  for (int64_t i = 0; i < sample().size(); ++i) {
    for (const uint8_t token : sample().tokens(i)) counts[token] += 1;
  }
  const auto n = static_cast<double>(sample().size());
  const double operators = counts[kMin] + counts[kMax] + counts[kMed] + counts[kSum];
  const double digits = std::accumulate(counts.begin() + kDigit0, counts.begin() + kMin, 0.0);
  EXPECT_EQ(counts[kClose], operators);
  EXPECT_EQ(counts[kPad] + counts[kUnknown], 0);
  EXPECT_NEAR(operators / n, reference::kOperatorsPerRow, 0.03 * reference::kOperatorsPerRow);  // of 3,000 rows
  EXPECT_NEAR(digits / n, reference::kDigitsPerRow, 0.03 * reference::kDigitsPerRow);
  for (size_t id = kMin; id <= kSum; ++id) EXPECT_NEAR(counts[id] / operators, 0.25, 0.002);
  for (size_t id = kDigit0; id < kMin; ++id) EXPECT_NEAR(counts[id] / digits, 0.1, 0.001);
}

TEST(GeneratorTest, EveryTreeReachesTenLevels) {
  for (int64_t i = 0; i < 2'000; ++i) ASSERT_EQ(levels(sample().tokens(i)), 10) << "expression " << i;
}

TEST(GeneratorTest, ValuesAndLengthsAgreeWithAnIndependentParserOfTheText) {
  for (int64_t i = 0; i < 1'000; ++i) {
    const auto tokens = sample().tokens(i);
    const std::string text = official_text(tokens);
    ASSERT_EQ(StackParser(text).parse(), sample().value(i)) << text;
    std::istringstream symbols(text);
    size_t counted = 0;
    for (std::string symbol; symbols >> symbol;) counted += symbol != "(" && symbol != ")" ? 1 : 0;
    ASSERT_EQ(counted, tokens.size());
    std::vector<uint8_t> again;
    std::vector<uint32_t> positions;
    ASSERT_FALSE(tokenize(text, again, positions).has_value());
    ASSERT_TRUE(std::equal(again.begin(), again.end(), tokens.begin(), tokens.end()));
  }
}

TEST(GeneratorTest, CandidateIsAPureFunctionOfSeedAndIndex) {
  std::vector<uint8_t> first;
  std::vector<uint8_t> again{1, 2, 3};
  for (uint64_t i = 0; i < 500; ++i) {
    PhiloxStream random(9, StreamPurpose::kExample, i);
    draw_expression({}, random, first);
  }
  for (uint64_t i = 0; i < 500; ++i) {
    PhiloxStream random(9, StreamPurpose::kExample, i);
    draw_expression({}, random, again);
  }
  EXPECT_GT(first.size(), 0U);
  EXPECT_TRUE(std::equal(first.begin(), first.end(), again.begin() + 3, again.end()));
}

TEST(GeneratorTest, ShortLengthsAndRepetitionsAreHandled) {
  const GeneratorParameters parameters{.min_length = 0, .max_length = 5, .max_depth = 2, .max_args = 2};
  const Corpus corpus = draw_corpus(parameters, 3, 400, 2, {});  // each of the 10 digits and 4 x 10 x 10 operations
  EXPECT_GT(corpus.duplicates(), 0);
  std::set<std::string> distinct;
  for (int64_t i = 0; i < corpus.size(); ++i) {
    const auto tokens = corpus.tokens(i);
    EXPECT_LT(tokens.size(), 5U);
    distinct.emplace(tokens.begin(), tokens.end());
  }
  EXPECT_EQ(distinct.size(), 400U);
}

TEST(GeneratorTest, MoreExamplesThanExistAreRefused) {
  const GeneratorParameters parameters{.min_length = 0, .max_length = 2, .max_depth = 1, .max_args = 2};
  const auto error = thrown_by<UsageError>([&] { draw_corpus(parameters, 0, 11, 2, {}); });
  EXPECT_THAT(error.what(), HasSubstr("only 10 distinct expressions"));
}

TEST(GeneratorTest, AnExceptionOfTheProgressReportStopsIt) {
  EXPECT_THROW(draw_corpus({}, 0, 100'000, 2, [](uint64_t, uint64_t) { throw std::runtime_error("stop"); }),
               std::runtime_error);
}

TEST(ParseParametersTest, ReadsItsKeysAndRefusesOthersWithNearMatches) {
  const GeneratorParameters parameters = parse_parameters({{"task.max_length", "100"}, {"task.min_length", "10"}});
  EXPECT_EQ(parameters.max_length, 100);
  EXPECT_EQ(parameters.min_length, 10);
  EXPECT_EQ(parameters.max_depth, 10);
  EXPECT_THAT(thrown_by<UsageError>([] {
                parse_parameters({{"task.max_lenght", "5"}});
              }).hint(),
              HasSubstr("`task.max_length`"));
  EXPECT_THROW(parse_parameters({{"task.max_depth", "ten"}}), UsageError);
  EXPECT_THROW(parse_parameters({{"task.max_depth", "10x"}}), UsageError);
  EXPECT_THROW(parse_parameters({{"task.max_depth", "0"}}), UsageError);
  EXPECT_THROW(parse_parameters({{"task.max_args", "1"}}), UsageError);
  EXPECT_THROW(parse_parameters({{"task.max_length", "501"}}), UsageError) << "min_length is 500";
  EXPECT_THROW(parse_max_length({{"task.min_length", "5"}}), UsageError);
  EXPECT_EQ(parse_max_length({{"task.max_length", "5"}}), 5);
}

}  // namespace
}  // namespace lra::tasks::listops
