// SentencePiece vocabularies through the tokenizer: the way to tokens, what text must not become, and the way back.
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "common/base/utf8.h"
#include "common/tokenizer/test_vocabulary.h"
#include "common/tokenizer/tokenizer.h"

namespace kedge {
namespace {

using Ids = std::vector<uint32_t>;

constexpr uint32_t kUnknown = 0;
constexpr uint32_t kBegin = 1;
constexpr uint32_t kEnd = 2;
constexpr uint32_t kFirstPiece = 259;

constexpr uint32_t Byte(uint8_t byte) { return 3u + byte; }

Ids Encode(const Tokenizer& tokenizer, absl::string_view text) {
  const auto ids = tokenizer.Encode(text);
  EXPECT_TRUE(ids.ok()) << ids.status();
  return ids.ok() ? *ids : Ids{};
}

std::string Decode(const Tokenizer& tokenizer, const Ids& ids, Detokenizer::Begin begin = Detokenizer::Begin::kText) {
  Detokenizer detokenizer(&tokenizer, /*skip_special_tokens=*/false, begin);
  std::string text;
  for (const uint32_t id : ids) text += detokenizer.Push(id);
  return text + detokenizer.Finish();
}

// 259 ab, 260 _ab, 261 _, 262 a, 263 b, 264 ".", 265 c
TestVocabulary SmallVocabulary() { return SentencePieceVocabulary({"ab", "_ab", "_", "a", "b", ".", "c"}); }

TEST(SentencePieceTest, MergesByScoreAfterASpaceThatItAdds) {
  const auto tokenizer = MakeTokenizer(SmallVocabulary());
  EXPECT_TRUE(tokenizer->adds_space());
  EXPECT_EQ(Encode(*tokenizer, ""), Ids{});
  EXPECT_EQ(Encode(*tokenizer, "ab"), (Ids{260}));
  EXPECT_EQ(Encode(*tokenizer, "abab ab"), (Ids{260, 259, 260}));
  EXPECT_EQ(Encode(*tokenizer, " ab"), (Ids{261, 260}));
  EXPECT_EQ(Encode(*tokenizer, "ba."), (Ids{261, 263, 262, 264}));
}

TEST(SentencePieceTest, CharactersWithoutATokenBecomeTheirBytes) {
  const auto tokenizer = MakeTokenizer(SmallVocabulary());
  EXPECT_EQ(Encode(*tokenizer, "a\u00E9\n"), (Ids{261, 262, Byte(0xC3), Byte(0xA9), Byte('\n')}));
  EXPECT_EQ(Encode(*tokenizer, absl::string_view("\0", 1)), (Ids{261, Byte(0)}));
  EXPECT_TRUE(tokenizer->IsByte(Byte('.')));
  EXPECT_FALSE(tokenizer->IsByte(264));
  EXPECT_EQ(tokenizer->TokenBytes(Byte(0xC3)), "\xC3");
}

TEST(SentencePieceTest, WithoutByteTokensTheUnknownOneStands) {
  TestVocabulary vocabulary;
  vocabulary.model = "llama";
  for (const char* piece : {"\u2581", "a"}) vocabulary.Add(piece);
  vocabulary.Add("<unk>", 2);
  vocabulary.scores = {-1, -2, 0};
  const auto tokenizer = MakeTokenizer(vocabulary);
  EXPECT_EQ(Encode(*tokenizer, "axa"), (Ids{0, 1, 2, 1}));
  EXPECT_EQ(Encode(*tokenizer, "xyz a"), (Ids{0, 2, 0, 1}));  // one for all in a row
  EXPECT_TRUE(tokenizer->IsSpecial(2));
}

TEST(SentencePieceTest, OfEqualScoresTheLeftmostPairMerges) {
  TestVocabulary vocabulary = SentencePieceVocabulary({"ab", "ba", "a", "b"});
  vocabulary.add_space = false;
  vocabulary.scores[kFirstPiece] = vocabulary.scores[kFirstPiece + 1] = -1;
  EXPECT_EQ(Encode(*MakeTokenizer(vocabulary), "abab"), (Ids{259, 259}));
  EXPECT_EQ(Encode(*MakeTokenizer(vocabulary), "baba"), (Ids{260, 260}));
  EXPECT_EQ(Encode(*MakeTokenizer(vocabulary), "aba"), (Ids{259, 261}));
  vocabulary.scores[kFirstPiece + 1] = -0.5f;
  EXPECT_EQ(Encode(*MakeTokenizer(vocabulary), "abab"), (Ids{261, 260, 262}));
}

TEST(SentencePieceTest, UnusedPiecesAreTakenApart) {
  TestVocabulary vocabulary = SentencePieceVocabulary({"ab", "abc", "abcd", "a", "b", "c", "d"});
  vocabulary.add_space = false;
  EXPECT_EQ(Encode(*MakeTokenizer(vocabulary), "abcd"), (Ids{261}));  // made through ab and abc
  vocabulary.types[261] = 5;
  EXPECT_EQ(Encode(*MakeTokenizer(vocabulary), "abcd"), (Ids{260, 265}));
  vocabulary.types[260] = vocabulary.types[259] = 5;
  const auto tokens = MakeTokenizer(vocabulary)->EncodeWithOffsets("xabcd");
  ASSERT_TRUE(tokens.ok());
  Ids ids;
  std::vector<size_t> begins;
  for (const TextToken& token : *tokens) {
    ids.push_back(token.id);
    begins.push_back(token.begin);
  }
  EXPECT_EQ(ids, (Ids{Byte('x'), 262, 263, 264, 265}));
  EXPECT_EQ(begins, (std::vector<size_t>{0, 1, 2, 3, 4}));
}

TEST(SentencePieceTest, FileSaysWhetherASpaceIsAdded) {
  TestVocabulary vocabulary = SmallVocabulary();
  vocabulary.add_space = false;
  EXPECT_EQ(Encode(*MakeTokenizer(vocabulary), "ab ab"), (Ids{259, 260}));
  EXPECT_FALSE(MakeTokenizer(vocabulary)->adds_space());
  EXPECT_EQ(Encode(*MakeTokenizer(vocabulary), "a  b"), (Ids{262, 261, 261, 263}));
}

TEST(SentencePieceTest, TextNeverBecomesASpecialToken) {
  TestVocabulary vocabulary = SentencePieceVocabulary({"<s", ">", "<", "s", "/", "u", "n", "k", "_", "0", "x"});
  const auto add = [&](const std::string& spelling, int32_t type) {
    vocabulary.scores.push_back(-1);
    return vocabulary.Add(spelling, type);
  };
  const uint32_t control = add("s", 3);  // spelled like a piece
  const uint32_t again = add("s", 3);    // and twice
  const uint32_t empty = add("", 3);
  const auto tokenizer = MakeTokenizer(vocabulary);
  const std::string text = "<s></s><unk>s \u2581 <0x0A> special 1 control";
  const Ids ids = Encode(*tokenizer, text);
  for (const uint32_t id : ids) {
    EXPECT_FALSE(tokenizer->IsSpecial(id)) << id;
    EXPECT_NE(id, Byte('\n'));
  }
  for (const uint32_t id : {kUnknown, kBegin, kEnd, control, again, empty}) {
    EXPECT_TRUE(tokenizer->IsSpecial(id)) << id;
  }
  EXPECT_EQ(tokenizer->SpecialId("<s>"), kBegin);
  EXPECT_EQ(tokenizer->SpecialId("s"), control);
}

TEST(SentencePieceTest, UserDefinedTokensAreTextThatStaysWhole) {
  TestVocabulary vocabulary = SmallVocabulary();
  const auto add = [&](const std::string& spelling) {
    vocabulary.scores.push_back(0);
    return vocabulary.Add(spelling, 4);
  };
  const uint32_t tool = add("<tool>");
  const uint32_t two_spaces = add("  ");  // as converters of Hugging Face's files write it
  const uint32_t three_spaces = add("\u2581\u2581\u2581");
  const uint32_t bc = add("bc");
  const auto tokenizer = MakeTokenizer(vocabulary);
  EXPECT_EQ(Encode(*tokenizer, "<tool>ab<tool> ab"), (Ids{261, tool, 259, tool, 260}));
  EXPECT_EQ(Encode(*tokenizer, "abc"), (Ids{261, 262, bc}));     // found before anything merges
  EXPECT_EQ(Encode(*tokenizer, " ab"), (Ids{two_spaces, 259}));  // one of the two was added
  EXPECT_EQ(Encode(*tokenizer, "a    ab"), (Ids{261, 262, three_spaces, 260}));
  EXPECT_EQ(Encode(*tokenizer, "a\u2581\u2581b"), (Ids{261, 262, two_spaces, 263}));
  EXPECT_FALSE(tokenizer->IsSpecial(tool));
  EXPECT_EQ(tokenizer->TokenBytes(three_spaces), "   ");
  for (const absl::string_view text : {"<tool>ab", " ab", "a    ab", "   ", "ab  <tool>  abc"}) {
    EXPECT_EQ(Decode(*tokenizer, Encode(*tokenizer, text)), text);
  }
  // A text may have U+2581 itself where a token has a space.
  EXPECT_EQ(Encode(*tokenizer, "a\u2581\u2581\u2581"), (Ids{261, 262, three_spaces}));
  EXPECT_EQ(tokenizer->longest_text(), 9u);
  EXPECT_EQ(Decode(*tokenizer, {tool, 260}), "<tool> ab");  // its text goes on with a space

  const auto tokens = tokenizer->EncodeWithOffsets("a\u00E9   <tool>.");
  ASSERT_TRUE(tokens.ok());
  std::vector<size_t> begins;
  for (const TextToken& token : *tokens) begins.push_back(token.begin);
  EXPECT_EQ(begins, (std::vector<size_t>{0, 0, 1, 1, 3, 6, 12}));
}

TEST(SentencePieceTest, OffsetsAreThoseOfTheText) {
  const auto tokenizer = MakeTokenizer(SmallVocabulary());
  const auto tokens = tokenizer->EncodeWithOffsets("ab \u00E9\u2581ab.");
  ASSERT_TRUE(tokens.ok()) << tokens.status();
  Ids ids;
  std::vector<size_t> begins;
  for (const TextToken& token : *tokens) {
    ids.push_back(token.id);
    begins.push_back(token.begin);
  }
  EXPECT_EQ(ids, (Ids{260, 261, Byte(0xC3), Byte(0xA9), 260, 264}));
  EXPECT_EQ(begins, (std::vector<size_t>{0, 2, 3, 3, 5, 10}));
}

TEST(SentencePieceTest, EndsAndBeginAreTheFiles) {
  TestVocabulary vocabulary = SmallVocabulary();
  EXPECT_EQ(MakeTokenizer(vocabulary)->bos(), kBegin);
  EXPECT_EQ(MakeTokenizer(vocabulary)->eos(), kEnd);
  EXPECT_EQ(MakeTokenizer(vocabulary)->end_ids(), Ids{kEnd});
  EXPECT_EQ(MakeTokenizer(vocabulary)->bos_to_add(), kBegin);  // unless the file says no
  vocabulary.add_bos = false;
  EXPECT_EQ(MakeTokenizer(vocabulary)->bos_to_add(), std::nullopt);
  vocabulary.add_bos = std::nullopt;
  vocabulary.bos = std::nullopt;
  EXPECT_EQ(MakeTokenizer(vocabulary)->bos_to_add(), std::nullopt);
}

TEST(SentencePieceTest, AnchorSetsAreReadOffTheText) {
  const auto tokenizer =
      MakeTokenizer(SentencePieceVocabulary({".", "_.", ",", "_,", "...", "a", "_", "_?\"", "!", "\u3002"}));
  const AnchorSets sets = FindAnchorSets(*tokenizer);
  const auto id = [](uint32_t i) { return kFirstPiece + i; };
  EXPECT_EQ(sets.full_stop, id(0));  // and not the byte
  EXPECT_EQ(sets.sentence, (Ids{kEnd, Byte('\n'), Byte('\v'), Byte('\f'), Byte('\r'), Byte('!'), Byte('.'), Byte('?'),
                                id(0), id(1), id(4), id(7), id(8), id(9)}));
  EXPECT_EQ(sets.separators,
            (Ids{kEnd, Byte('\n'), Byte('\v'), Byte('\f'), Byte('\r'), Byte('!'), Byte(','), Byte('.'), Byte(':'),
                 Byte(';'), Byte('?'), id(0), id(1), id(2), id(3), id(4), id(7), id(8), id(9)}));
}

TEST(SentencePieceTest, SpaceOfATextsBeginIsNotText) {
  const auto tokenizer = MakeTokenizer(SmallVocabulary());
  EXPECT_EQ(Decode(*tokenizer, {260, 260}), "ab ab");
  EXPECT_EQ(Decode(*tokenizer, {260, 260}, Detokenizer::Begin::kContinuation), " ab ab");
  EXPECT_EQ(Decode(*tokenizer, {261, 260}), " ab");
  EXPECT_EQ(Decode(*tokenizer, {262, 260}), "a ab");
  EXPECT_EQ(Decode(*tokenizer, {kBegin, 260, 260, kEnd, kBegin, 260}), "<s>ab ab</s><s>ab");
  Detokenizer hiding(tokenizer.get(), true);
  EXPECT_EQ(hiding.Push(260), " ab");
  EXPECT_EQ(hiding.Push(kEnd), "");
  EXPECT_EQ(hiding.Push(260), "ab");
  EXPECT_EQ(hiding.Push(260), " ab");
}

TEST(SentencePieceTest, BytesOfACharacterAreHeldUntilItIsWhole) {
  const auto tokenizer = MakeTokenizer(SmallVocabulary());
  Detokenizer detokenizer(tokenizer.get(), true);
  EXPECT_EQ(detokenizer.Push(Byte(0xE4)), "");
  EXPECT_EQ(detokenizer.Push(Byte(0xBD)), "");
  EXPECT_EQ(detokenizer.Push(Byte(0xA0)), "\u4F60");
  EXPECT_EQ(detokenizer.Push(Byte(0xE4)), "");
  EXPECT_EQ(detokenizer.Push(260), "\uFFFD ab");
}

TEST(SentencePieceTest, DecodingGivesTheTextBack) {
  TestVocabulary vocabulary = SmallVocabulary();
  for (const char* spelling : {"  ", "\u2581\u2581\u2581", "<t>", "b.", ".<", "\u00E9", " a"}) {
    vocabulary.scores.push_back(0);
    vocabulary.Add(spelling, 4);
  }
  const std::unique_ptr<const Tokenizer> tokenizers[] = {MakeTokenizer(SmallVocabulary()), MakeTokenizer(vocabulary)};
  static constexpr absl::string_view kParts[] = {"a", "b",  "ab",     " ",      "  ",         "<t>",
                                                 ".", "\n", "\u00E9", "\u4F60", "\U0001F600", "<"};
  for (uint32_t seed = 0; seed < 1000; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    std::string text;
    for (int length = random() % 40; length > 0; --length) text += std::string(kParts[random() % std::size(kParts)]);
    const Tokenizer& tokenizer = *tokenizers[seed % 2];
    ASSERT_EQ(Decode(tokenizer, Encode(tokenizer, text)), text);
    const auto tokens = tokenizer.EncodeWithOffsets(text);
    ASSERT_TRUE(tokens.ok());
    size_t begin = 0;
    for (const TextToken& token : *tokens) {
      ASSERT_GE(token.begin, begin);
      ASSERT_LT(token.begin, text.size());
      begin = token.begin;
    }
  }
}

TEST(SentencePieceTest, LongTextsTakeNoQuadraticTime) {
  const auto tokenizer = MakeTokenizer(SmallVocabulary());
  const size_t size = 1 << 20;
  std::string words;
  while (words.size() < size) words += "ab abab 12 \n\n\u00E9 ";
  const auto begin = std::chrono::steady_clock::now();
  for (const std::string& text : {std::string(size, 'a'), std::string(size, ' '), words}) {
    EXPECT_FALSE(Encode(*tokenizer, text).empty());
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
}

TEST(SentencePieceTest, LoadNamesTheKeyThatIsWrong) {
  const auto expect = [](const TestVocabulary& vocabulary, absl::StatusCode code, absl::string_view part) {
    const auto tokenizer = LoadTokenizer(vocabulary);
    EXPECT_EQ(tokenizer.status().code(), code) << tokenizer.status();
    EXPECT_NE(tokenizer.status().message().find(part), absl::string_view::npos) << tokenizer.status();
  };
  TestVocabulary vocabulary = SmallVocabulary();
  vocabulary.scores.clear();
  expect(vocabulary, absl::StatusCode::kNotFound, "tokenizer.ggml.scores");
  vocabulary = SmallVocabulary();
  vocabulary.scores.pop_back();
  expect(vocabulary, absl::StatusCode::kInvalidArgument, "tokenizer.ggml.scores: has 265 values for 266 tokens");
  vocabulary = SmallVocabulary();
  vocabulary.tokens[Byte(7)] = "<0x7>";
  expect(vocabulary, absl::StatusCode::kInvalidArgument, "tokenizer.ggml.tokens[10]: '<0x7>' is a byte token");
  vocabulary = SmallVocabulary();
  vocabulary.types[Byte(7)] = 1;
  expect(vocabulary, absl::StatusCode::kInvalidArgument, "tokenizer.ggml.tokens: has byte tokens, but none for 7");
  vocabulary = SmallVocabulary();
  vocabulary.scores[3] = NAN;
  expect(vocabulary, absl::StatusCode::kInvalidArgument, "tokenizer.ggml.scores[3]: is nan");
  vocabulary = SmallVocabulary();
  vocabulary.remove_spaces = true;
  expect(vocabulary, absl::StatusCode::kUnimplemented, "tokenizer.ggml.remove_extra_whitespaces: true");
  vocabulary.remove_spaces = false;
  EXPECT_TRUE(LoadTokenizer(vocabulary).ok());
  // Without byte tokens there must be an unknown one.
  vocabulary = {.model = "llama", .tokens = {"a"}, .types = {1}, .scores = {0}};
  expect(vocabulary, absl::StatusCode::kInvalidArgument, "tokenizer.ggml.unknown_token_id is missing");
  vocabulary.unknown = 1;
  expect(vocabulary, absl::StatusCode::kInvalidArgument, "tokenizer.ggml.unknown_token_id: 1");
  vocabulary.unknown = 0;
  EXPECT_TRUE(LoadTokenizer(vocabulary).ok());
}

}  // namespace
}  // namespace kedge
