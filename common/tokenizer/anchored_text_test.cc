#include "common/tokenizer/anchored_text.h"

#include <gtest/gtest.h>

#include "common/tokenizer/test_vocabulary.h"

namespace kedge {
namespace {

using Pieces = std::vector<absl::string_view>;
using Ids = std::vector<uint32_t>;

TEST(AnchoredTextTest, TakesWhiteSpaceAwayAtPlacesAlone) {
  EXPECT_EQ(CutAtPlaces(" a. b ", {}), (Pieces{" a. b "}));
  EXPECT_EQ(CutAtPlaces(" a. \n\n b.\u3000\t c ", {3, 9}), (Pieces{" a.", "b.", "c "}));
  EXPECT_EQ(CutAtPlaces("a \u00A0 b", {4}), (Pieces{"a", "b"}));
  EXPECT_EQ(CutAtPlaces("ab", {1}), (Pieces{"a", "b"}));
  EXPECT_EQ(CutAtPlaces("a. ", {2}), (Pieces{"a.", ""}));
  EXPECT_EQ(CutAtPlaces("a.  b", {2, 3}), (Pieces{"a.", "", "b"}));
}

TEST(AnchoredTextTest, AnchorsStandBetweenPieces) {
  TestVocabulary vocabulary = ByteVocabulary();
  const uint32_t anchor = vocabulary.Add("<AC>", 4);
  const auto tokenizer = MakeTokenizer(vocabulary);
  const auto encode = [&](const Pieces& pieces) { return *EncodeWithAnchors(*tokenizer, pieces, anchor); };
  EXPECT_EQ(encode({"a."}), (Ids{'a', '.'}));
  EXPECT_EQ(encode({"a.", "b.", "c"}), (Ids{'a', '.', anchor, 'b', '.', anchor, 'c'}));
  EXPECT_EQ(encode({"a.", ""}), (Ids{'a', '.', anchor}));
  // A text that spells it has it, since it is a user-defined token.
  EXPECT_EQ(encode({"a<AC>"}), (Ids{'a', anchor}));
  EXPECT_EQ(EncodeWithAnchors(*tokenizer, {"a", "\xFF"}, anchor).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(AnchoredTextTest, APromptBeginsAsTheTokenizerSays) {
  TestVocabulary vocabulary = ByteVocabulary();
  const uint32_t anchor = vocabulary.Add("<AC>", 4);
  EXPECT_EQ(*EncodePrompt(*MakeTokenizer(vocabulary), "a. b"), (Ids{'a', '.', ' ', 'b'}));
  vocabulary.bos = vocabulary.Add("<s>", 3);
  vocabulary.add_bos = true;
  EXPECT_EQ(*EncodePrompt(*MakeTokenizer(vocabulary), "a. b"), (Ids{*vocabulary.bos, 'a', '.', ' ', 'b'}));
  EXPECT_EQ(*EncodePrompt(*MakeTokenizer(vocabulary), "a. b", {2}, anchor),
            (Ids{*vocabulary.bos, 'a', '.', anchor, 'b'}));
  EXPECT_FALSE(EncodePrompt(*MakeTokenizer(vocabulary), "\xFF").ok());
}

}  // namespace
}  // namespace kedge
