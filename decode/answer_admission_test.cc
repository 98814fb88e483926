#include "decode/answer_admission.h"

#include "decode/answer_length.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

// A token takes 10 ms, and 1 ms more for each answer.
AnswersHere Here(uint32_t free_pages) {
  return {.free_pages = free_pages,
          .token_time = [](double answers) { return absl::Milliseconds(10) + answers * absl::Milliseconds(1); }};
}

AnswerHere Answer(uint32_t pages, bool has_rows, double tokens, double time_left) {
  return {.pages = pages, .has_rows = has_rows, .tokens_left = tokens, .time_left = absl::Seconds(time_left)};
}

TEST(AnswerAdmissionTest, LetsInWhatWillBeWrittenInTime) {
  AnswersHere here = Here(10);
  EXPECT_FALSE(RefuseAnswer(here, Answer(5, false, 100, 2)).has_value());
  here.answers = {Answer(5, true, 50, 9)};
  EXPECT_FALSE(RefuseAnswer(here, Answer(5, false, 100, 2)).has_value());
}

TEST(AnswerAdmissionTest, WaitsAreAsLongAsAnswersThatEnd) {
  AnswersHere here = Here(1);
  here.answers = {Answer(4, true, 100, 9), Answer(4, true, 50, 9)};  // 12 ms a token
  EXPECT_EQ(WaitForRows(here, 1), absl::ZeroDuration());
  EXPECT_EQ(WaitForRows(here, 4), absl::Milliseconds(600));
  EXPECT_EQ(WaitForRows(here, 8), absl::Milliseconds(1200));
  here.answers.push_back(Answer(5, false, 10, 9));  // from 600 ms to 720 ms
  EXPECT_EQ(WaitForRows(here, 5), absl::Milliseconds(720));
  EXPECT_EQ(WaitForRows(here, 6), absl::Milliseconds(1200));
  EXPECT_EQ(WaitForRows(here, 100), absl::Milliseconds(1200));  // more than there is: the caller has looked
}

TEST(AnswerAdmissionTest, RefusesWhoseWaitIsTooLongAndSaysWhenThereIsRoom) {
  AnswersHere here = Here(0);
  here.answers = {Answer(4, true, 200, 9)};  // 2.2 s
  EXPECT_FALSE(RefuseAnswer(here, Answer(4, false, 10, 3)).has_value());
  const auto refused = RefuseAnswer(here, Answer(4, false, 10, 2));
  ASSERT_TRUE(refused.has_value());
  EXPECT_GT(refused->room, absl::Milliseconds(200));
  EXPECT_FALSE(refused->has_time);
  EXPECT_LE(refused->room, absl::Milliseconds(2200));
  EXPECT_EQ(RefuseAnswer(Here(9), Answer(4, false, 10, 0))->room, absl::ZeroDuration());
}

TEST(AnswerAdmissionTest, WhereNobodyIsItTriesWhatItThinksLate) {
  AnswerHere next = Answer(4, false, 1, 0.1);
  next.prompt = absl::Seconds(9);
  AnswersHere here = Here(9);
  EXPECT_FALSE(RefuseAnswer(here, next).has_value());
  here.answers = {Answer(4, true, 50, 9)};
  EXPECT_TRUE(RefuseAnswer(here, next).has_value());
}

TEST(AnswerLengthTest, AnswersCountAsLongAsThoseOfLateHaveBeen) {
  AnswerLength length;
  EXPECT_EQ(length.Left(0, 100), 100);  // nothing is known: all that may come
  EXPECT_EQ(length.Left(40, 100), 60);
  for (int i = 0; i < 100; ++i) length.Record(20, 100);
  EXPECT_NEAR(length.Left(0, 1000), 200, 1);
  EXPECT_NEAR(length.Left(150, 1000), 50, 1);
  EXPECT_EQ(length.Left(900, 1000), 1);
  length.Record(7, 0);  // it asked for none
  EXPECT_NEAR(length.Left(0, 1000), 200, 1);
}

TEST(AnswerAdmissionTest, WhatHasBegunIsNotMadeLate) {
  AnswersHere here = Here(100);
  here.answers = {Answer(4, true, 50, 9), Answer(4, true, 100, 1.3)};  // 1.2 s, and 1.3 s with one more
  const auto refused = RefuseAnswer(here, Answer(4, false, 10, 9));
  ASSERT_TRUE(refused.has_value());
  EXPECT_EQ(refused->room, absl::Milliseconds(600));
  EXPECT_TRUE(refused->has_time);
  EXPECT_FALSE(RefuseAnswer(here, Answer(4, false, 200, 9))->has_time);
  here.answers[1].time_left = absl::Seconds(1);  // late anyway
  EXPECT_FALSE(RefuseAnswer(here, Answer(4, false, 10, 9)).has_value());
  here.answers[1].time_left = absl::Seconds(2);
  EXPECT_FALSE(RefuseAnswer(here, Answer(4, false, 10, 9)).has_value());
  AnswerHere with_prompt = Answer(4, false, 10, 9);
  with_prompt.prompt = absl::Seconds(1);
  EXPECT_TRUE(RefuseAnswer(here, with_prompt).has_value());
}

TEST(AnswerAdmissionTest, AnAnswerTooLongForItsTimeIsLetInForItsFirstToken) {
  AnswersHere here = Here(100);
  EXPECT_FALSE(RefuseAnswer(here, Answer(4, false, 1000, 2)).has_value());
  for (int i = 0; i < 20; ++i) here.answers.push_back(Answer(1, true, 10, 9));
  EXPECT_FALSE(RefuseAnswer(here, Answer(4, false, 1000, 2)).has_value());
  EXPECT_TRUE(RefuseAnswer(here, Answer(4, false, 100, 2)).has_value());  // 3.1 s, and alone it would be 1.1 s
}

TEST(AnswerAdmissionTest, WithoutATimeItMayAlways) {
  AnswersHere here = Here(0);
  here.answers = {Answer(4, true, 1e6, 9)};
  AnswerHere next = Answer(4, false, 1000, 0);
  next.time_left = absl::InfiniteDuration();
  EXPECT_FALSE(RefuseAnswer(here, next).has_value());
}

}  // namespace
}  // namespace kedge
