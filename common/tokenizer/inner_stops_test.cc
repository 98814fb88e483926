#include "common/tokenizer/inner_stops.h"

#include <string>

#include "common/tokenizer/test_vocabulary.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

TEST(InnerStops, AreThoseWithoutAGapBehindThem) {
  TestVocabulary vocabulary = ByteVocabulary();  // an id is its byte
  const uint32_t end_of_turn = vocabulary.Add("<|end|>", 3);
  const std::unique_ptr<const Tokenizer> tokenizer = MakeTokenizer(vocabulary);
  Policy policy{.anchors = {'\n', '!', '.', end_of_turn}};
  const auto stops = [&](const std::string& text) {
    std::vector<uint32_t> ids;
    for (const char byte : text) ids.push_back(byte == '$' ? end_of_turn : static_cast<uint8_t>(byte));
    return FindInnerStops(*tokenizer, policy, ids);
  };
  using Positions = std::vector<uint32_t>;
  EXPECT_EQ(stops("10.27.66 is"), (Positions{2, 5}));
  EXPECT_EQ(stops("see config.yaml. Then"), Positions{10});
  EXPECT_EQ(stops("end. Next.\nLine.\tTab."), Positions());
  EXPECT_EQ(stops("a\nb\n"), Positions());  // a line feed ends, whatever follows
  EXPECT_EQ(stops("a.$b$c"), Positions());  // so does a special token, and before one text ends
  EXPECT_EQ(stops(""), Positions());
  EXPECT_EQ(FindGapless(*tokenizer, {'a', 'b', ' ', 'c', '\n', 'd', end_of_turn, 'e'}), (Positions{0, 2}));
  policy.anchors = {'!'};
  EXPECT_EQ(stops("10.27!a"), Positions{5});
}

}  // namespace
}  // namespace kedge
