#include "common/anchor/content.h"

#include "gtest/gtest.h"

namespace kedge {
namespace {

std::string Error(const Content& content) { return std::string(CheckContent(content, 100, 10).message()); }

TEST(ContentTest, GoodContentPasses) {
  const Content content{.ids = {1, 2, 99}, .prompt_length = 2, .no_anchor_positions = {0, 2}};
  EXPECT_TRUE(CheckContent(content, 100, 3).ok());
  EXPECT_TRUE(content.NoAnchor(2));
  EXPECT_FALSE(content.NoAnchor(1));
}

TEST(ContentTest, ErrorsNameTheField) {
  EXPECT_EQ(Error({}).find("ids:"), 0u);
  EXPECT_EQ(Error({.ids = {1, 100}}).find("ids[1]: 100"), 0u);
  EXPECT_EQ(Error({.ids = std::vector<uint32_t>(11)}).find("ids: 11"), 0u);
  EXPECT_EQ(Error({.ids = {1}, .prompt_length = 3}).find("prompt_length: 3"), 0u);
  EXPECT_EQ(Error({.ids = {1, 2}, .no_anchor_positions = {1, 1}}).find("no_anchor_positions[1]"), 0u);
  EXPECT_EQ(Error({.ids = {1, 2}, .no_anchor_positions = {2}}).find("no_anchor_positions[0]"), 0u);
  EXPECT_EQ(Error({.ids = {1, 2}, .prompt_length = 1, .sequence_ends = {1}}).find("sequence_ends[0]: 1"), 0u);
  EXPECT_EQ(Error({.ids = {1, 2}, .prompt_length = 2, .sequence_ends = {1}}).find("sequence_ends: are given"), 0u);
  const Policy by_text{.text_anchors = true, .write_full = true};
  EXPECT_EQ(Error({.ids = {1, 2}, .prompt_length = 2, .sequence_ends = {0, 1}, .policy = by_text}), "");
  EXPECT_EQ(Error({.ids = {1, 2}, .no_anchor_positions = {1}, .policy = by_text}).find("no_anchor_positions: are"), 0u);
  EXPECT_EQ(Error({.ids = {1, 2}, .prompt_length = 1, .pinned = {{0, 2}}}).find("pinned[0]"), 0u);
  EXPECT_EQ(Error({.ids = {1, 2}, .salient = {{}}}).find("salient: is given"), 0u);
  EXPECT_EQ(Error({.ids = {1, 2}, .prompt_length = 2, .turn_begin = 2}).find("turn_begin: 2"), 0u);
  EXPECT_EQ(Error({.ids = {1}, .cache_domain = std::string(33, 'd')}).find("cache_domain: has 33 bytes"), 0u);
  EXPECT_EQ(Error({.ids = {1}, .cache_domain = std::string(32, 'd')}), "");
}

TEST(ContentTest, ASalientChoiceStaysWithinWhatThePolicyGrants) {
  Content content{.ids = std::vector<uint32_t>(400, 1), .prompt_length = 400};
  content.policy = {.anchors = {5}, .keep_anchors = false, .sinks = 2, .recent = 3, .prefill_full = true};
  content.policy.salient_millionths = 300000;
  for (uint32_t i = 29; i < 400; i += 30) content.ids[i] = 5;
  const auto error = [&] { return std::string(CheckContent(content, 100, 1000).message()); };
  content.salient = {{0, 120}};  // 120 rows, two of them sinks
  EXPECT_EQ(error(), "");
  content.salient = {{0, 120}, {120, 150}};  // no room for thirty more
  EXPECT_EQ(error(), "salient: takes 148 rows; the policy grants 120 of 400");
  content.question_marks = {340, 350, 360};  // three questions: 32 rows more
  EXPECT_EQ(error(), "");
  content.question_marks.clear();
  content.salient = {{0, 120}, {390, 399}};  // in the window, the open sequence: free
  EXPECT_EQ(error(), "");
  content.salient = {{390, 400}};  // the prompt's last row is not for choosing
  EXPECT_EQ(error().find("salient[0]"), 0u);
  content.salient->clear();
  content.prompt_length = 0;
  EXPECT_EQ(error(), "salient: is given, and there is no prompt to choose from");
}

}  // namespace
}  // namespace kedge
