#include "bench/given_answer.h"

#include "common/tokenizer/test_vocabulary.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

TEST(GivenAnswerTest, ATokenIsShownOnceItsLastByteHasCome) {
  const GivenAnswer answer({7, 8, 9}, {"An", " anchor", "."});
  EXPECT_EQ(*answer.TokensShown(0, "A"), 0u);
  EXPECT_EQ(*answer.TokensShown(0, "An"), 1u);
  EXPECT_EQ(*answer.TokensShown(2, " anch"), 1u);
  EXPECT_EQ(*answer.TokensShown(2, " anchor"), 2u);
  EXPECT_EQ(*answer.TokensShown(2, " anchor."), 3u);
  EXPECT_EQ(*answer.TokensShown(10, ""), 3u);
}

TEST(GivenAnswerTest, TakesOnlyWhatIsTextByItself) {
  const std::unique_ptr<const Tokenizer> tokenizer = MakeTokenizer(ByteVocabulary());
  const auto answer = GivenAnswer::Make(*tokenizer, BenchText({'o', 0xC3, 0xA9, '\n', 'k'}), 3);
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_THAT(answer->ids(), testing::ElementsAre('o', 'k', 'o'));
  EXPECT_EQ(*answer->TokensShown(0, "oko"), 3u);
  EXPECT_EQ(GivenAnswer::Make(*tokenizer, BenchText({0xC3, '\n'}), 3).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(GivenAnswerTest, AnotherTextIsDamage) {
  const GivenAnswer answer({7, 8}, {"An", " anchor"});
  for (const auto& [begin, piece] : {std::pair{0, "an"}, {2, "anchor"}, {2, " anchors"}, {9, "."}, {10, ""}}) {
    EXPECT_EQ(answer.TokensShown(static_cast<size_t>(begin), piece).status().code(), absl::StatusCode::kDataLoss)
        << begin << piece;
  }
}

}  // namespace
}  // namespace kedge
