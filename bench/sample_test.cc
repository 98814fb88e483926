#include "bench/sample.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

TEST(SampleTest, PartsInAnyOrderAndTheRestAsUsual) {
  const auto choice = ParseSample("top_p=0.9, temperature=0.7");
  ASSERT_TRUE(choice.ok()) << choice.status();
  EXPECT_EQ(choice->temperature, 0.7f);
  EXPECT_EQ(choice->top_p, 0.9f);
  EXPECT_EQ(choice->top_k, 0u);
  EXPECT_EQ(choice->min_p, 0);
  const auto other = ParseSample("top_k=40,min_p=0.05,seed=7");
  ASSERT_TRUE(other.ok()) << other.status();
  EXPECT_EQ(other->temperature, 1);
  EXPECT_EQ(other->top_k, 40u);
  EXPECT_EQ(other->min_p, 0.05f);
  EXPECT_EQ(other->seed, 7u);
}

TEST(SampleTest, WhatIsWrongIsNamed) {
  for (const char* text : {"", "temperatur=1", "temperature", "temperature=hot", "temperature=nan", "top_p=2",
                           "top_p=-1", "top_k=-1", "top_p=0.9,min_p=7"}) {
    const auto choice = ParseSample(text);
    ASSERT_EQ(choice.status().code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(choice.status().message(), testing::HasSubstr("temperature="));
  }
  EXPECT_THAT(ParseSample("top_p=0.9,min_p=7").status().message(), testing::HasSubstr("\"min_p=7\""));
}

}  // namespace
}  // namespace kedge
