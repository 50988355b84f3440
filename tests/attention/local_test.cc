// Local attention: its limits, its patterns against softmax over the tokens that each shows, its refusals.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "attention/registry.h"
#include "harness/attend.h"
#include "harness/contract.h"
#include "tests/attention/refusal.h"

namespace lra::attention {
namespace {

using harness::AttendRequest;
using harness::AttendResult;
using harness::HostArray;
using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::refusal_of;

constexpr int64_t kN = 61, kReal = 47;

AttendRequest local_request(const std::string& attention, ParameterValues parameters, bool causal = false) {
  AttendRequest request = harness::random_request(attention, kN, kReal, 5);
  request.dtype = engine::Dtype::f64;
  request.kernels = engine::Kernels::plain;
  request.parameters = std::move(parameters);
  request.causal = causal;
  return request;
}

/// The same tokens, in this order.
AttendRequest chosen(const AttendRequest& request, const std::vector<int64_t>& tokens) {
  AttendRequest made = request;
  const auto m = static_cast<int64_t>(tokens.size());
  const auto choose = [&](const std::vector<double>& values, int64_t planes, int64_t width) {
    std::vector<double> rows;
    for (int64_t plane = 0; plane < planes; ++plane)
      for (const int64_t token : tokens) {
        const auto row = values.begin() + (plane * kN + token) * width;
        rows.insert(rows.end(), row, row + width);
      }
    return rows;
  };
  const int64_t heads = request.arguments[0].shape[0], d = request.arguments[0].shape[2];
  for (HostArray& argument : made.arguments)
    argument = {.shape = {heads, m, d}, .values = choose(argument.values, heads, d)};
  made.mask = choose(request.mask, 1, 1);
  made.output_gradient = choose(request.output_gradient, heads, d);
  return made;
}

/// Output and gradients of a local attention are those of softmax over each of these groups of tokens.
void expect_softmax_over(const std::vector<std::vector<int64_t>>& groups, const AttendRequest& local) {
  const AttendResult got = harness::attend(local);
  const int64_t heads = local.arguments[0].shape[0], d = local.arguments[0].shape[2];
  for (const std::vector<int64_t>& group : groups) {
    AttendRequest softmax = chosen(local, group);
    softmax.attention = "softmax";
    softmax.parameters = {};
    const AttendResult expected = harness::attend(softmax);
    for (int64_t head = 0; head < heads; ++head)
      for (size_t i = 0; i < group.size(); ++i) {
        if (group[i] >= kReal) continue;
        for (int64_t a = 0; a < d; ++a) {
          const auto there = static_cast<size_t>((head * kN + group[i]) * d + a);
          const size_t here =
              (static_cast<size_t>(head) * group.size() + i) * static_cast<size_t>(d) + static_cast<size_t>(a);
          ASSERT_NEAR(got.output.values[there], expected.output.values[here], 1e-12) << "token " << group[i];
          for (size_t j = 0; j < got.gradients.size(); ++j)
            ASSERT_NEAR(got.gradients[j].values[there], expected.gradients[j].values[here], 1e-12);
        }
      }
  }
}

std::vector<int64_t> all_tokens() {
  std::vector<int64_t> tokens(static_cast<size_t>(kN));
  for (size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<int64_t>(i);
  return tokens;
}

TEST(LocalTest, IsSoftmaxWhereABlockOrAWindowHoldsAllTokens) {
  for (const bool causal : {false, true}) {
    expect_softmax_over({all_tokens()}, local_request("local", {{"block_size", kN}}, causal));
    expect_softmax_over({all_tokens()},
                        local_request("local", {{"pattern", std::string("sliding")}, {"window", kN}}, causal));
  }
}

TEST(LocalTest, BlocksAreSoftmaxInEachBlock) {
  for (const int64_t block_size : {2, 8, 50}) {
    std::vector<std::vector<int64_t>> blocks;
    for (int64_t token = 0; token < kN; ++token) {
      if (token % block_size == 0) blocks.emplace_back();
      blocks.back().push_back(token);
    }
    expect_softmax_over(blocks, local_request("local", {{"block_size", block_size}}));
    expect_softmax_over(blocks, local_request("local", {{"block_size", block_size}}, true));
  }
}

TEST(LocalTest, StridesAreSoftmaxOverTokensThatAreEqualModuloTheNumberOfBlocks) {
  for (const int64_t block_size : {2, 4, 10, 61}) {
    const int64_t count = kN / block_size + 1;  // the official code adds a whole block, even to what is divisible
    std::vector<std::vector<int64_t>> classes(static_cast<size_t>(count));
    for (int64_t token = 0; token < kN; ++token) classes[static_cast<size_t>(token % count)].push_back(token);
    std::erase_if(classes, [](const auto& group) { return group.empty(); });
    const ParameterValues parameters = {{"pattern", std::string("strided")}, {"block_size", block_size}};
    expect_softmax_over(classes, local_request("local", parameters));
    expect_softmax_over(classes, local_request("local", parameters, true));
  }
}

TEST(LocalTest, ASlidingWindowShowsEachTokenItsNeighbours) {
  constexpr int64_t kWindow = 3;
  const AttendRequest local = local_request("local", {{"pattern", std::string("sliding")}, {"window", kWindow}});
  const AttendResult got = harness::attend(local);
  const int64_t d = local.arguments[0].shape[2];
  for (const int64_t token : {int64_t{0}, int64_t{2}, int64_t{20}, kReal - 1}) {
    std::vector<int64_t> seen;
    for (int64_t j = std::max<int64_t>(0, token - kWindow); j <= std::min(kN - 1, token + kWindow); ++j)
      seen.push_back(j);
    AttendRequest softmax = chosen(local, seen);
    softmax.attention = "softmax";
    softmax.parameters = {};
    const AttendResult expected = harness::attend(softmax);
    const auto at = static_cast<size_t>(std::find(seen.begin(), seen.end(), token) - seen.begin());
    for (int64_t a = 0; a < d; ++a)
      ASSERT_NEAR(got.output.values[static_cast<size_t>(token * d + a)],
                  expected.output.values[at * static_cast<size_t>(d) + static_cast<size_t>(a)], 1e-12);
  }
}

TEST(LocalTest, RefusesWindowsOfNothingAndBlocksOfNothingOrOdd) {
  const auto message = [](const ParameterValues& parameters) { return refusal_of(local_request("local", parameters)); };
  EXPECT_THAT(message({{"window", int64_t{0}}}), HasSubstr("attention.window = 0 is outside 1..n tokens"));
  EXPECT_THAT(message({{"block_size", int64_t{0}}}), HasSubstr("attention.block_size = 0"));
  EXPECT_THAT(message({{"block_size", int64_t{62}}}),
              HasSubstr("attention.block_size = 62, but sequences have n = 61 tokens"));
  for (const char* pattern : {"blocks", "strided"})
    EXPECT_THAT(
        message({{"block_size", int64_t{7}}, {"pattern", std::string(pattern)}}),
        AllOf(HasSubstr("[local] attention.block_size = 7 is odd; n = 61"), HasSubstr("from 2 to 61, such as 8")));
  EXPECT_EQ(message({{"block_size", int64_t{7}}, {"pattern", std::string("sliding")}}), "was accepted");
  EXPECT_THAT(message({{"pattern", std::string("slidng")}}), HasSubstr("attention.pattern = slidng"));
}

}  // namespace
}  // namespace lra::attention
