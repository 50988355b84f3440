#include "tasks/class_names.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/errors.h"
#include "tasks/seeded_split.h"

namespace lra::tasks {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::string> finished(const std::vector<std::string>& names) {
  ClassNames classes;
  for (const std::string& name : names) EXPECT_EQ(classes.add(name), "");
  classes.finish();
  for (size_t i = 0; i < classes.names().size(); ++i) {
    EXPECT_EQ(classes.label_of(classes.names()[i]), static_cast<int>(i));
  }
  return classes.names();
}

TEST(ClassNamesTest, NumbersAreOrderedByValueAndNamesByTheirBytes) {
  EXPECT_THAT(finished({"dog", "cat", "dog", "Émile", "10"}), ElementsAre("10", "cat", "dog", "Émile"));
  EXPECT_THAT(finished({"10", "9", "-1", "9"}), ElementsAre("-1", "9", "10"));
}

TEST(ClassNamesTest, WhatIsNoNameIsRefused) {
  ClassNames classes;
  EXPECT_THAT(classes.add(""), HasSubstr("empty"));
  EXPECT_THAT(classes.add(std::string(101, 'a')), HasSubstr("no name"));
  EXPECT_THAT(classes.add("a\x1b"), HasSubstr("`a\\x1b`"));
  EXPECT_THAT(classes.add("\xff"), HasSubstr("no name"));
  for (int i = 0; i < 256; ++i) EXPECT_EQ(classes.add(std::to_string(i)), "");
  EXPECT_EQ(classes.add("255"), "");
  EXPECT_THAT(classes.add("256"), HasSubstr("one more than the 256 labels"));
  classes.finish();
  EXPECT_EQ(classes.names().size(), 256U);
  EXPECT_THROW(classes.label_of("256"), DataError);
}

TEST(SeededSplitTest, OfEachTenOneIsForValidationAndOneForTesting) {
  SplitSizes places;
  for (uint64_t ten = 0; ten < 2000; ++ten) {
    SplitSizes sizes;
    for (uint64_t i = 0; i < 10; ++i) {
      const SplitName split = seeded_split(7, 10 * ten + i);
      ++sizes[split];
      if (i == 3) ++places[split];
    }
    ASSERT_EQ(sizes, (SplitSizes{.train = 8, .validation = 1, .test = 1}));
  }
  // A place is for validation in a tenth of 2,000 draws: 200, standard error 13.4.
  EXPECT_NEAR(static_cast<double>(places.validation), 200, 54);
  EXPECT_NEAR(static_cast<double>(places.test), 200, 54);
}

TEST(SeededSplitTest, AnotherSeedIsAnotherSplit) {
  int differing = 0;
  for (uint64_t i = 0; i < 1000; ++i) differing += seeded_split(1, i) != seeded_split(2, i) ? 1 : 0;
  EXPECT_GT(differing, 200);
}

}  // namespace
}  // namespace lra::tasks
