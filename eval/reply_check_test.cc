#include "eval/reply_check.h"

#include "gtest/gtest.h"

namespace kedge {
namespace {

TEST(ContainsAnswerTest, WholeWordsAndNumbers) {
  EXPECT_TRUE(ContainsAnswer("The number is 4821.", "4821"));
  EXPECT_TRUE(ContainsAnswer("It is 4,821!", "4821"));
  EXPECT_TRUE(ContainsAnswer("it is **bluebird**", "Bluebird"));
  EXPECT_TRUE(ContainsAnswer("1,234,821 in all", "1234821"));
  EXPECT_TRUE(ContainsAnswer("the row is 4965,4821,4529", "4821")) << "cells, no thousands";
  EXPECT_FALSE(ContainsAnswer("It is 48210.", "4821"));
  EXPECT_FALSE(ContainsAnswer("It is 14821.", "4821"));
  EXPECT_TRUE(ContainsAnswer("14821, no: 4821", "4821"));
  EXPECT_TRUE(ContainsAnswer("仓库的密码是4821。", "4821"));
  EXPECT_FALSE(ContainsAnswer("", "4821"));
}

TEST(FoundInReplyTest, SharesOfSeveralAnswers) {
  const ReplyCheck check{.answers = {"red", "4821", "blue"}};
  EXPECT_DOUBLE_EQ(FoundInReply("Red and 4821.", check).share, 2.0 / 3);
  EXPECT_FALSE(FoundInReply("Red and 4821.", check).all);
  EXPECT_TRUE(FoundInReply("red, blue: 4,821", check).all);
  EXPECT_DOUBLE_EQ(FoundInReply("", check).share, 0);
}

TEST(FoundInReplyTest, NothingAskedIsNeverFound) {
  EXPECT_FALSE(FoundInReply("anything", {}).all);
  EXPECT_DOUBLE_EQ(FoundInReply("anything", {}).share, 0);
}

TEST(FoundInReplyTest, WhatIsForbidden) {
  const ReplyCheck check{.answers = {"562"}, .forbidden = {"341"}};
  EXPECT_TRUE(FoundInReply("It is 562 pence.", check).all);
  EXPECT_DOUBLE_EQ(FoundInReply("It was 341, and is 562.", check).share, 0.5);
  EXPECT_DOUBLE_EQ(FoundInReply("It is 341.", check).share, 0);
  EXPECT_DOUBLE_EQ(FoundInReply("I do not know.", check).share, 0) << "silence avoids it too";
}

TEST(FoundInReplyTest, TheLastWord) {
  const ReplyCheck check{.answers = {"562"}, .last_word = "marigold"};
  EXPECT_TRUE(FoundInReply("It is 562. Marigold", check).all);
  EXPECT_TRUE(FoundInReply("It is 562, **marigold**.\n", check).all);
  EXPECT_DOUBLE_EQ(FoundInReply("Marigold: it is 562.", check).share, 0.5);
  EXPECT_DOUBLE_EQ(FoundInReply("It is 562 xmarigold", check).share, 0.5);
  EXPECT_DOUBLE_EQ(FoundInReply("marigold", check).share, 0.5);
}

TEST(FoundInReplyTest, Json) {
  const ReplyCheck check{.answers = {"562"}, .json = true};
  EXPECT_TRUE(FoundInReply("{\"answer\": 562}", check).all);
  EXPECT_TRUE(FoundInReply("```json\n{\"answer\": \"562\"}\n```", check).all);
  EXPECT_DOUBLE_EQ(FoundInReply("The answer is {\"answer\": 562}", check).share, 0.5);
  EXPECT_DOUBLE_EQ(FoundInReply("{\"answer\": 562", check).share, 0.5);
  EXPECT_DOUBLE_EQ(FoundInReply("", check).share, 0);
}

}  // namespace
}  // namespace kedge
