#include "prefill/prompt_admission.h"

#include <vector>

#include "gtest/gtest.h"

namespace kedge {
namespace {

QueuedPrompt Prompt(double seconds, double time_left) {
  return {.work = absl::Seconds(seconds),
          .tokens_left = static_cast<uint32_t>(seconds * 1000),
          .time_left = absl::Seconds(time_left)};
}

TEST(PromptAdmissionTest, LetsInWhatWillBeReadInTime) {
  EXPECT_FALSE(RefusePrompt({}, Prompt(1, 2), false).has_value());
  EXPECT_FALSE(RefusePrompt({Prompt(1, 9), Prompt(1, 9)}, Prompt(1, 5), false).has_value());
}

TEST(PromptAdmissionTest, RefusesWhatWouldBeLateAndSaysWhenThereIsRoom) {
  const std::vector<QueuedPrompt> queue = {Prompt(1, 9), Prompt(1, 9), Prompt(1, 9)};
  const auto refused = RefusePrompt(queue, Prompt(1, 3), false);
  ASSERT_TRUE(refused.has_value());
  EXPECT_GT(*refused, absl::Seconds(1));
  EXPECT_LE(*refused, absl::Seconds(3));
  EXPECT_EQ(RefusePrompt({}, Prompt(1, -1), false), absl::ZeroDuration());
}

TEST(PromptAdmissionTest, AnIdleNodeTriesWhatItThinksLate) {
  EXPECT_FALSE(RefusePrompt({}, Prompt(20, 1), false).has_value());
  EXPECT_TRUE(RefusePrompt({Prompt(20, 1)}, Prompt(20, 1), false).has_value());
}

TEST(PromptAdmissionTest, AShortPromptPassesLongOnesUnlessItMustWaitForRows) {
  const std::vector<QueuedPrompt> queue = {Prompt(10, 60), Prompt(10, 60)};
  EXPECT_FALSE(RefusePrompt(queue, Prompt(1, 2), false).has_value());
  EXPECT_TRUE(RefusePrompt(queue, Prompt(1, 2), true).has_value());
}

TEST(PromptAdmissionTest, WhatWasLetInIsNotMadeLate) {
  const std::vector<QueuedPrompt> queue = {Prompt(1, 9), Prompt(3, 5)};
  const auto refused = RefusePrompt(queue, Prompt(2, 9), false);
  ASSERT_TRUE(refused.has_value());
  EXPECT_EQ(*refused, absl::Seconds(4));
  // One that is late anyway holds up nobody.
  EXPECT_FALSE(RefusePrompt({Prompt(1, 9), Prompt(3, 1)}, Prompt(2, 9), false).has_value());
}

TEST(PromptAdmissionTest, WithoutATimeItMayAlways) {
  QueuedPrompt next = Prompt(5, 0);
  next.time_left = absl::InfiniteDuration();
  EXPECT_FALSE(RefusePrompt({Prompt(3, 3)}, next, true).has_value());
}

}  // namespace
}  // namespace kedge
