#include "eval/baselines.h"

#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/anchor/outline.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

using testing::HasSubstr;

// A prompt of sequences of five rows; `salient` chose three of them.
Content Example() {
  Content content{.prompt_length = 200, .turn_begin = 10, .policy = ParsePolicy("salient", {}).value()};
  for (uint32_t i = 0; i < 200; ++i) content.ids.push_back(i);
  for (uint32_t i = 4; i < 200; i += 5) content.sequence_ends.push_back(i);
  content.salient = std::vector<PositionRange>{{50, 60}, {100, 105}};
  return content;
}

const KnownRows kUnknown = {.own_begin = 199};

std::string Words(absl::Span<const uint32_t> ids) {
  return absl::StrJoin(ids, " ", [](std::string* out, uint32_t id) { absl::StrAppend(out, "w", id % 70); });
}

uint32_t Charge(const Content& content, absl::Span<const PositionRange> ranges) {
  const PromptOutline outline = OutlinePrompt(content);
  uint32_t charge = 0;
  for (const PositionRange& range : ranges) charge += outline.Charge(range);
  return charge;
}

TEST(BaselinesTest, TextsAndCanonicalTexts) {
  const EvalPolicy plain = ParseEvalPolicy("full", {}).value();
  EXPECT_EQ(plain.Canonical(), CanonicalPolicy(plain.policy));
  const EvalPolicy random = ParseEvalPolicy("salient,salient=0.1@random", {}).value();
  EXPECT_EQ(random.text, "salient,salient=0.1@random");
  EXPECT_EQ(random.rows, RowChoice::kRandom);
  EXPECT_EQ(random.policy.salient_millionths, 100000u);
  EXPECT_EQ(random.Canonical(), absl::StrCat(CanonicalPolicy(random.policy), "@random"));
  EXPECT_EQ(ParseEvalPolicy("streaming@int4", {}).value().bits, 4);
  EXPECT_THAT(ParseEvalPolicy("salient@luck", {}).status().message(), HasSubstr("@luck"));
  EXPECT_THAT(ParseEvalPolicy("streaming@bm25", {}).status().message(), HasSubstr("@bm25"));
  EXPECT_THAT(ParseEvalPolicy("salient,sinkz=3@bm25", {}).status().message(), HasSubstr("sinkz"));
}

TEST(BaselinesTest, EveryChoiceFillsTheBudgetAndNoMore) {
  const Content content = Example();
  EXPECT_EQ(ChooseRows(RowChoice::kOwn, content, kUnknown, Words), *content.salient);
  for (RowChoice rows : {RowChoice::kRandom, RowChoice::kBm25, RowChoice::kStreaming}) {
    const std::vector<PositionRange> chosen = ChooseRows(rows, content, kUnknown, Words);
    EXPECT_EQ(Charge(content, chosen), 15u) << static_cast<int>(rows);
    EXPECT_EQ(chosen, ChooseRows(rows, content, kUnknown, Words));
    EXPECT_NE(chosen, *content.salient);
  }
  const PositionRange much[] = {{0, 190}};
  EXPECT_LE(Charge(content, ChooseRows(RowChoice::kOracle, content, {.evidence = much}, Words)), 15u);
}

TEST(BaselinesTest, RandomOrderIsThatOfThePrompt) {
  Content content = Example();
  std::set<uint32_t> begins;
  for (uint32_t i = 0; i < 30; ++i) {
    content.ids[0] = 1000 + i;
    begins.insert(ChooseRows(RowChoice::kRandom, content, kUnknown, Words)[0].begin);
  }
  EXPECT_GT(begins.size(), 5u);
}

TEST(BaselinesTest, SearchFindsTheWordsOfTheMessagesBeginningAndEnd) {
  Content content = Example();
  // Words of rows 10..57 and 152..199 ask; only 80..84 and 90..94 among the others have such words.
  for (uint32_t i = 60; i < 150; ++i) content.ids[i] = 3000 + i;
  auto rare = [](absl::Span<const uint32_t> ids) {
    return absl::StrJoin(ids, " ", [](std::string* out, uint32_t id) { absl::StrAppend(out, "w", id); });
  };
  for (uint32_t i = 0; i < 5; ++i) content.ids[80 + i] = content.ids[90 + i] = 20 + i;
  const std::vector<PositionRange> chosen = ChooseRows(RowChoice::kBm25, content, kUnknown, rare);
  EXPECT_EQ(Charge(content, chosen), 15u);
  for (const PositionRange& range : chosen) EXPECT_TRUE(range.begin < 60 || range.begin == 80 || range.begin == 90);
  content.salient = {{0, 0}};
  EXPECT_TRUE(ChooseRows(RowChoice::kBm25, content, kUnknown, rare).empty());
}

TEST(BaselinesTest, SearchKnowsTheQuestionWhereATextHasSeveral) {
  Content content = Example();
  for (uint32_t i = 0; i < 5; ++i) content.ids[120 + i] = content.ids[187 + i];
  // Rows 187.. ask, and the beginning of their sentence, 185..: only 120..124 has such words, and they themselves do.
  auto plain = [](absl::Span<const uint32_t> ids) { return absl::StrJoin(ids, " "); };
  const std::vector<PositionRange> chosen = ChooseRows(RowChoice::kBm25, content, {.own_begin = 187}, plain);
  EXPECT_THAT(chosen, testing::Contains(PositionRange{120, 125}));
}

TEST(BaselinesTest, TheOracleTakesEvidenceFirstAndThenThePolicysOwn) {
  const Content content = Example();
  const PositionRange evidence[] = {{72, 73}};
  EXPECT_EQ(ChooseRows(RowChoice::kOracle, content, {.evidence = evidence}, Words),
            (std::vector<PositionRange>{{50, 60}, {70, 75}}));
  EXPECT_EQ(ChooseRows(RowChoice::kOracle, content, kUnknown, Words), *content.salient);
}

TEST(BaselinesTest, StreamingTakesTheLatestRows) {
  const Content content = Example();
  const uint32_t window = OutlinePrompt(content).window_begin;
  EXPECT_EQ(ChooseRows(RowChoice::kStreaming, content, kUnknown, Words),
            (std::vector<PositionRange>{{window - 15, window}}));
}

}  // namespace
}  // namespace kedge
