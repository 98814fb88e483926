#include "eval/forms/lines.h"

#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

TEST(LinesTest, LinesAreFoundAgain) {
  const Lines made = JoinLines({"one", "two, three", "four"}, "\r\n");
  EXPECT_EQ(made.text, "one\r\ntwo, three\r\nfour");
  ASSERT_EQ(made.lines.size(), 3u);
  EXPECT_EQ(made.text.substr(made.lines[1].begin, made.lines[1].end - made.lines[1].begin), "two, three");
  EXPECT_EQ(made.lines[2].end, made.text.size());
}

TEST(LinesTest, AsManyAsThereIsRoomForAndAtLeastSoMany) {
  const TextOptions options{.count_tokens = [](absl::string_view text) { return text.size(); }};
  EXPECT_EQ(LinesFor("123456789", 100, 4, options), 10u);
  EXPECT_EQ(LinesFor("123456789", 0, 4, options), 4u);
}

TEST(LinesTest, OneOfEachPart) {
  std::set<std::vector<size_t>> orders;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    Random random(seed);
    const std::vector<size_t> chosen = OneOfEachPart(4, 100, &random);
    orders.insert(chosen);
    std::set<size_t> parts;
    for (size_t number : chosen) {
      ASSERT_LT(number, 100u);
      parts.insert(number * 4 / 100);
    }
    EXPECT_EQ(parts.size(), 4u);
  }
  EXPECT_GT(orders.size(), 15u);
  Random random(1);
  EXPECT_THAT(OneOfEachPart(3, 3, &random), testing::UnorderedElementsAre(0, 1, 2));
}

}  // namespace
}  // namespace kedge
