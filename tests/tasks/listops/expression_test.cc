#include "tasks/listops/expression.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lra::tasks::listops {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<uint8_t> tokens_of(std::string_view text) {
  std::vector<uint8_t> tokens;
  std::vector<uint32_t> positions;
  const auto fault = tokenize(text, tokens, positions);
  EXPECT_FALSE(fault.has_value()) << fault.value_or(Fault{}).what;
  return tokens;
}

/// The value of a text, or -1.
int value_of(std::string_view text) {
  Evaluator evaluator;
  return evaluator.evaluate(tokens_of(text)).value_or(-1);
}

Fault fault_of(const std::vector<uint8_t>& tokens) {
  Evaluator evaluator;
  EXPECT_FALSE(evaluator.evaluate(tokens).has_value());
  return evaluator.fault();
}

TEST(VocabularyTest, EveryIdRoundTripsThroughItsSymbol) {
  ASSERT_EQ(vocabulary().size(), 17U);
  for (size_t id = 1; id < 16; ++id) EXPECT_EQ(token_of(vocabulary()[id]), id) << vocabulary()[id];
  EXPECT_EQ(vocabulary()[kPad], "<pad>");
  EXPECT_EQ(vocabulary()[kUnknown], "<oov>");
  EXPECT_EQ(token_of("0"), 1);
  EXPECT_EQ(token_of("9"), 10);
  EXPECT_EQ(token_of("[MIN"), 11);
  EXPECT_EQ(token_of("[MAX"), 12);
  EXPECT_EQ(token_of("[MED"), 13);
  EXPECT_EQ(token_of("[SM"), 14);
  EXPECT_EQ(token_of("]"), 15);
}

TEST(VocabularyTest, OtherSymbolsHaveNoId) {
  for (const char* symbol : {"", "(", ")", "10", "[", "[min", "<pad>", "<oov>", "X", "a"}) {
    EXPECT_FALSE(token_of(symbol).has_value()) << symbol;
  }
}

TEST(ExpressionTest, OfficialExampleIsWrittenAsPublished) {
  EXPECT_EQ(official_text(tokens_of("[MAX 2 9 ]")), "( ( ( [MAX 2 ) 9 ) ] )");
  EXPECT_EQ(official_text(tokens_of("[SM [MIN 4 5 ] 3 ]")), "( ( ( [SM ( ( ( [MIN 4 ) 5 ) ] ) ) 3 ) ] )");
  EXPECT_EQ(official_text(tokens_of("7")), "7");
}

TEST(ExpressionTest, OfficialTextIsReadBackWithBracketsAndWithoutParentheses) {
  EXPECT_THAT(tokens_of("( ( ( [MAX 2 ) 9 ) ] )"), ElementsAre(kMax, 3, 10, kClose));
}

TEST(ExpressionTest, OperatorsMeanWhatTheirNamesSay) {
  EXPECT_EQ(value_of("[MIN 4 2 7 ]"), 2);
  EXPECT_EQ(value_of("[MAX 4 2 7 ]"), 7);
  EXPECT_EQ(value_of("[SM 4 9 9 ]"), 2);
  EXPECT_EQ(value_of("[SM 0 0 ]"), 0);
  EXPECT_EQ(value_of("5"), 5);
  EXPECT_EQ(value_of("[MIN 8 ]"), 8);
}

TEST(ExpressionTest, MedianOfAnEvenCountIsTheMeanOfTheMiddleTwoRoundedDown) {
  EXPECT_EQ(value_of("[MED 9 1 5 ]"), 5);
  EXPECT_EQ(value_of("[MED 1 2 ]"), 1);
  EXPECT_EQ(value_of("[MED 2 1 ]"), 1);
  EXPECT_EQ(value_of("[MED 0 9 ]"), 4);
  EXPECT_EQ(value_of("[MED 3 3 4 9 ]"), 3);
  EXPECT_EQ(value_of("[MED 3 8 4 9 ]"), 6);
  EXPECT_EQ(value_of("[MED 9 9 0 0 ]"), 4);
  EXPECT_EQ(value_of("[MED 5 5 ]"), 5);
  EXPECT_EQ(value_of("[MED 0 0 0 1 ]"), 0);
}

TEST(ExpressionTest, ArgumentsMayBeExpressions) {
  EXPECT_EQ(value_of("[MAX [MIN 3 4 ] 2 [SM 5 6 ] ]"), 3);
  EXPECT_EQ(value_of("[SM [MED 1 2 ] [MAX 0 9 ] 4 ]"), 4);
}

TEST(ExpressionTest, WhatIsNoExpressionIsRefusedWithItsPosition) {
  EXPECT_EQ(fault_of({}).position, 0U);
  EXPECT_EQ(fault_of({kClose}).position, 0U);
  EXPECT_THAT(fault_of({kMax, kClose}).what, HasSubstr("no arguments"));
  EXPECT_THAT(fault_of({kMax, 1}).what, HasSubstr("1 `]` missing"));
  EXPECT_EQ(fault_of({kMax, 1, kClose, 2}).position, 3U);
  EXPECT_EQ(fault_of({1, 2}).position, 1U);
  EXPECT_EQ(fault_of({kMax, kPad, kClose}).position, 1U);
  EXPECT_EQ(fault_of({kMax, kUnknown, kClose}).position, 1U);
  EXPECT_EQ(fault_of({kMax, 255, kClose}).position, 1U);
}

TEST(ExpressionTest, DeepNestingIsNoProblem) {
  constexpr size_t kDepth = 1'000'000;
  std::vector<uint8_t> tokens(kDepth, kMax);
  tokens.push_back(kDigit0 + 3);
  tokens.insert(tokens.end(), kDepth, kClose);
  Evaluator evaluator;
  EXPECT_EQ(evaluator.evaluate(tokens), 3);
}

TEST(TokenizeTest, UnknownSymbolsAndParenthesesAreRefusedWithTheirPosition) {
  std::vector<uint8_t> tokens;
  std::vector<uint32_t> positions;
  const auto fault = tokenize("[MAX 1 FOO ]", tokens, positions);
  ASSERT_TRUE(fault.has_value());
  EXPECT_EQ(fault->position, 7U);
  EXPECT_THAT(fault->what, HasSubstr("found `FOO`"));
  EXPECT_EQ(tokenize("( 1 ) )", tokens, positions)->position, 6U);
  EXPECT_EQ(tokenize("( ( 1 )", tokens, positions)->position, 7U);
  EXPECT_THAT(tokenize("\xff\x01", tokens, positions)->what, HasSubstr("\\xff\\x01"));
}

}  // namespace
}  // namespace lra::tasks::listops
