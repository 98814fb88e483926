#include "bench/chat_report.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace kedge {
namespace {

using testing::HasSubstr;
using testing::Not;

std::vector<ChatTurn> Example() {
  return {{.prompt_tokens = 100,
           .kept_rows = 60,
           .new_rows = 60,
           .moved_bytes = 6000,
           .without_bytes = 6000,
           .equal = true},
          {.prompt_tokens = 200,
           .kept_rows = 80,
           .new_rows = 17,
           .held_rows = 60,
           .moved_bytes = 2000,
           .without_bytes = 10000,
           .equal = true}};
}

TEST(ChatReportTest, SumsAndShares) {
  const nlohmann::json json = nlohmann::json::parse(ChatReportJson(Example()));
  EXPECT_EQ(json["turns"].size(), 2u);
  EXPECT_EQ(json["turns"][1]["held_rows"], 60);
  EXPECT_EQ(json["kept_rows"], 140);
  EXPECT_EQ(json["new_rows"], 77);
  EXPECT_EQ(json["held_rows"], 60);
  EXPECT_EQ(json["moved"], 8000);
  EXPECT_EQ(json["without"], 16000);
  EXPECT_EQ(json["share"], 0.5);
  EXPECT_EQ(json["equal"], true);
  const std::string text = ChatReportText(Example());
  EXPECT_THAT(text, HasSubstr("   2      200     80     17     60       2.0      10.0  20.0 %\n"));
  EXPECT_THAT(text, HasSubstr("140 kept, 77 of them (55.0 %) in no turn before; 60 held\n"));
  EXPECT_THAT(text, HasSubstr("0.01 MB moved, 50.0 % of the 0.02 MB where nothing is held; equal answers\n"));
}

TEST(ChatReportTest, AnotherAnswerIsSaid) {
  std::vector<ChatTurn> turns = Example();
  turns[1].equal = false;
  EXPECT_EQ(nlohmann::json::parse(ChatReportJson(turns))["equal"], false);
  EXPECT_THAT(ChatReportText(turns), HasSubstr("20.0 %  another answer\n"));
  EXPECT_THAT(ChatReportText(turns), HasSubstr("NOT the same answers"));
}

TEST(ChatReportTest, NothingIsDividedByNothing) {
  EXPECT_EQ(nlohmann::json::parse(ChatReportJson({}))["share"], 0);
  EXPECT_THAT(ChatReportText({}), Not(HasSubstr("nan")));
}

}  // namespace
}  // namespace kedge
