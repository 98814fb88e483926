#include "common/anchor/content.h"

#include "gtest/gtest.h"

namespace kedge {
namespace {

std::string Error(const Content& content) { return std::string(CheckContent(content, 100, 10).message()); }

TEST(ContentTest, GoodContentPasses) {
  const Content content{.ids = {1, 2, 99}, .prompt_length = 2, .no_anchor_positions = {0, 2}};
  EXPECT_TRUE(CheckContent(content, 100, 3).ok());
  EXPECT_EQ(content.NoAnchorBits(), (std::vector<bool>{true, false, true}));
  EXPECT_TRUE(content.NoAnchor(2));
  EXPECT_FALSE(content.NoAnchor(1));
}

TEST(ContentTest, ErrorsNameTheField) {
  EXPECT_EQ(Error({}).find("ids:"), 0u);
  EXPECT_EQ(Error({.ids = {1, 100}}).find("ids[1]: 100"), 0u);
  EXPECT_EQ(Error({.ids = std::vector<uint32_t>(11)}).find("ids: 11"), 0u);
  EXPECT_EQ(Error({.ids = {1}, .prompt_length = 2}).find("prompt_length: 2"), 0u);
  EXPECT_EQ(Error({.ids = {1, 2}, .no_anchor_positions = {1, 1}}).find("no_anchor_positions[1]"), 0u);
  EXPECT_EQ(Error({.ids = {1, 2}, .no_anchor_positions = {2}}).find("no_anchor_positions[0]"), 0u);
}

}  // namespace
}  // namespace kedge
