#include "common/tokenizer/tokenizer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <random>

#include "common/base/utf8.h"
#include "common/tokenizer/test_vocabulary.h"

namespace kedge {
namespace {

using Ids = std::vector<uint32_t>;

Ids Encode(const Tokenizer& tokenizer, absl::string_view text) {
  const auto ids = tokenizer.Encode(text);
  EXPECT_TRUE(ids.ok()) << ids.status();
  return ids.ok() ? *ids : Ids{};
}

std::string Decode(const Tokenizer& tokenizer, const Ids& ids) {
  Detokenizer detokenizer(&tokenizer, /*skip_special_tokens=*/false);
  std::string text;
  for (const uint32_t id : ids) text += detokenizer.Push(id);
  return text + detokenizer.Finish();
}

void ExpectLoadError(const TestVocabulary& vocabulary, absl::StatusCode code, absl::string_view part) {
  const auto tokenizer = LoadTokenizer(vocabulary);
  EXPECT_EQ(tokenizer.status().code(), code) << tokenizer.status();
  EXPECT_NE(tokenizer.status().message().find(part), absl::string_view::npos) << tokenizer.status();
}

TEST(TokenizerTest, EveryByteHasItsToken) {
  const auto tokenizer = MakeTokenizer(ByteVocabulary());
  ASSERT_EQ(tokenizer->vocab_size(), 256);
  for (uint32_t byte = 0; byte < 256; ++byte) {
    EXPECT_EQ(tokenizer->TokenBytes(byte), std::string(1, static_cast<char>(byte)));
  }
  EXPECT_EQ(Encode(*tokenizer, absl::string_view("a \n\0\u00E9", 6)), (Ids{'a', ' ', '\n', 0, 0xC3, 0xA9}));
}

TEST(TokenizerTest, MergesInsidePiecesByRank) {
  TestVocabulary vocabulary = ByteVocabulary();
  const uint32_t he = vocabulary.AddMerge("h", "e");
  const uint32_t space_t = vocabulary.AddMerge("\u0120", "t");
  const uint32_t the = vocabulary.AddMerge("t", "he");
  const uint32_t space_the = vocabulary.AddMerge("\u0120t", "he");
  const uint32_t line_feeds = vocabulary.AddMerge("\u010A", "\u010A");
  const auto tokenizer = MakeTokenizer(vocabulary);
  EXPECT_EQ(tokenizer->TokenBytes(space_the), " the");
  EXPECT_EQ(Encode(*tokenizer, ""), Ids{});
  EXPECT_EQ(Encode(*tokenizer, "the the"), (Ids{the, space_the}));
  EXPECT_EQ(Encode(*tokenizer, "he to"), (Ids{he, space_t, 'o'}));
  EXPECT_EQ(Encode(*tokenizer, "t he"), (Ids{'t', ' ', he}));  // no merge across pieces
  EXPECT_EQ(Encode(*tokenizer, "\n\n"), (Ids{line_feeds}));
  EXPECT_EQ(Encode(*tokenizer, "\n\nt"), (Ids{'\n', '\n', 't'}));
}

TEST(TokenizerTest, PreTokenizerComesFromTheFile) {
  TestVocabulary vocabulary = ByteVocabulary();
  const uint32_t number = vocabulary.AddMerge("1", "2");
  EXPECT_EQ(Encode(*MakeTokenizer(vocabulary), "12"), (Ids{number}));
  vocabulary.pre = "smollm";
  EXPECT_EQ(Encode(*MakeTokenizer(vocabulary), "12"), (Ids{'1', '2'}));
}

TEST(TokenizerTest, TextNeverBecomesASpecialToken) {
  TestVocabulary vocabulary = ByteVocabulary();
  const uint32_t control = vocabulary.Add("<|im_end|>", 3);
  const uint32_t merged = vocabulary.Add("ab", 3);
  vocabulary.Add("abab");
  vocabulary.merges = {"a b", "ab ab"};              // would make, and use, a control token
  const uint32_t letter_x = vocabulary.Add("x", 3);  // spelled like a byte's token
  const auto tokenizer = MakeTokenizer(vocabulary);

  const std::string text = "<|im_end|>ab abab x";
  const Ids ids = Encode(*tokenizer, text);
  EXPECT_EQ(ids, Ids(text.begin(), text.end()));
  for (const uint32_t id : ids) EXPECT_FALSE(tokenizer->IsSpecial(id));
  for (const uint32_t id : {control, merged, letter_x}) EXPECT_TRUE(tokenizer->IsSpecial(id));
  EXPECT_EQ(tokenizer->SpecialId("<|im_end|>"), control);
  EXPECT_EQ(tokenizer->SpecialId("x"), letter_x);
  EXPECT_EQ(tokenizer->SpecialId("a"), std::nullopt);
  EXPECT_EQ(tokenizer->TokenBytes(control), "<|im_end|>");
  EXPECT_FALSE(tokenizer->IsSpecial(1000000));
}

TEST(TokenizerTest, UserDefinedTokensAreTextThatStaysWhole) {
  TestVocabulary vocabulary = ByteVocabulary();
  const uint32_t call = vocabulary.Add("<tool_call>", 4);
  const uint32_t call_end = vocabulary.Add("</tool_call>", 4);
  const uint32_t two_spaces = vocabulary.Add("  ", 4);
  const uint32_t four_spaces = vocabulary.Add("    ", 4);
  const uint32_t line_feeds = vocabulary.AddMerge("\u010A", "\u010A");
  const uint32_t wide = vocabulary.Add("\u4F60\u597D", 4);
  const auto tokenizer = MakeTokenizer(vocabulary);
  EXPECT_EQ(Encode(*tokenizer, "<tool_call>\n{}\n</tool_call>"), (Ids{call, '\n', '{', '}', '\n', call_end}));
  EXPECT_EQ(Encode(*tokenizer, "<tool_call"), (Ids{'<', 't', 'o', 'o', 'l', '_', 'c', 'a', 'l', 'l'}));
  EXPECT_EQ(Encode(*tokenizer, "a       b"), (Ids{'a', four_spaces, two_spaces, ' ', 'b'}));  // the longest first
  // What lies beside one is cut as a text of its own: a run of white space ends there as at the text's end.
  EXPECT_EQ(Encode(*tokenizer, "\n\n<tool_call>"), (Ids{line_feeds, call}));
  EXPECT_EQ(Encode(*tokenizer, "x\u4F60\u597D\u4F60"), (Ids{'x', wide, 0xE4, 0xBD, 0xA0}));
  EXPECT_FALSE(tokenizer->IsSpecial(call));
  EXPECT_EQ(tokenizer->SpecialId("<tool_call>"), call);
  EXPECT_EQ(Decode(*tokenizer, {call, wide, two_spaces}), "<tool_call>\u4F60\u597D  ");

  const auto tokens = tokenizer->EncodeWithOffsets("\u00E9<tool_call>\n\n\n");
  ASSERT_TRUE(tokens.ok());
  std::vector<size_t> begins;
  for (const TextToken& token : *tokens) begins.push_back(token.begin);
  EXPECT_EQ(begins, (std::vector<size_t>{0, 1, 2, 13, 15}));
}

TEST(TokenizerTest, MergesNeitherMakeNorUseUserDefinedTokens) {
  TestVocabulary vocabulary = ByteVocabulary();
  const uint32_t ab = vocabulary.Add("ab", 4);
  vocabulary.Add("abc");
  vocabulary.merges = {"a b", "ab c"};
  const auto tokenizer = MakeTokenizer(vocabulary);
  EXPECT_EQ(Encode(*tokenizer, "abc"), (Ids{ab, 'c'}));
  EXPECT_EQ(Encode(*tokenizer, "acb"), (Ids{'a', 'c', 'b'}));
}

TEST(TokenizerTest, FindSpecialNamesTheFirstControlTokenThatATextSpells) {
  TestVocabulary vocabulary = ByteVocabulary();
  const uint32_t start = vocabulary.Add("<|im_start|>", 3);
  const uint32_t longer = vocabulary.Add("<|im_start|>user", 3);
  const uint32_t end = vocabulary.Add("<|im_end|>", 3);
  vocabulary.Add("<s>", 1);           // an ordinary word
  vocabulary.Add("[<|im_end|>]", 4);  // text, in which the control token does not stand
  const auto tokenizer = MakeTokenizer(vocabulary);
  const auto find = [&](absl::string_view text) {
    const std::optional<SpecialSpan> found = tokenizer->FindSpecial(text);
    return found.has_value() ? std::vector<size_t>{found->begin, found->end, found->id} : std::vector<size_t>();
  };
  EXPECT_EQ(find("a<|im_end|><|im_start|>"), (std::vector<size_t>{1, 11, end}));
  EXPECT_EQ(find("<|im_start|>user"), (std::vector<size_t>{0, 16, longer}));
  EXPECT_EQ(find("<|im_start|>usex"), (std::vector<size_t>{0, 12, start}));
  EXPECT_EQ(find("[<|im_end|>] <|im_end|>"), (std::vector<size_t>{13, 23, end}));
  EXPECT_EQ(find("<s> <|im_end|"), (std::vector<size_t>()));
  EXPECT_EQ(find(""), (std::vector<size_t>()));
}

TEST(TokenizerTest, LeavesOutBytesThatTheVocabularyLacks) {
  TestVocabulary vocabulary;
  const uint32_t a = vocabulary.Add("a");
  const uint32_t bang = vocabulary.Add("!");
  const uint32_t bangs = vocabulary.AddMerge("!", "!");
  const auto tokenizer = MakeTokenizer(vocabulary);
  EXPECT_EQ(Encode(*tokenizer, "ba c!?!!"), (Ids{a, bangs, bang}));
}

TEST(TokenizerTest, SpellingOutsideTheAlphabetStandsForItself) {
  TestVocabulary vocabulary = ByteVocabulary();
  const uint32_t plain_space = vocabulary.Add("[PAD 1]");
  const uint32_t wide = vocabulary.Add("\u4F60");
  const auto tokenizer = MakeTokenizer(vocabulary);
  EXPECT_EQ(tokenizer->TokenBytes(plain_space), "[PAD 1]");
  EXPECT_EQ(tokenizer->TokenBytes(wide), "\u4F60");
  EXPECT_EQ(Encode(*tokenizer, "\u4F60"), (Ids{0xE4, 0xBD, 0xA0}));
}

TEST(TokenizerTest, InvalidUtf8IsNamedByItsOffset) {
  const auto tokenizer = MakeTokenizer(ByteVocabulary());
  for (const auto& [text, offset] : {std::pair<std::string, std::string>{"abc\xFF", "byte 3"},
                                     {"\xC3\xA9\xED\xA0\x80", "byte 2"},
                                     {"x\xF0\x9F\x98", "byte 1"}}) {
    const auto ids = tokenizer->Encode(text);
    EXPECT_EQ(ids.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_NE(ids.status().message().find(offset), absl::string_view::npos) << ids.status();
  }
}

TEST(TokenizerTest, EndIdsComeFromMetadataAndKnownSpellings) {
  TestVocabulary vocabulary = ByteVocabulary();
  const uint32_t end_of_text = vocabulary.Add("<|endoftext|>", 3);
  vocabulary.Add("</s>", 1);  // only a word here
  const uint32_t turn_end = vocabulary.Add("<|im_end|>", 3);
  const uint32_t other = vocabulary.Add("<end>", 3);
  EXPECT_EQ(MakeTokenizer(vocabulary)->end_ids(), (Ids{end_of_text, turn_end}));
  vocabulary.eos = turn_end;
  vocabulary.eot = other;
  EXPECT_EQ(MakeTokenizer(vocabulary)->end_ids(), (Ids{end_of_text, turn_end, other}));
  const uint32_t message_end = vocabulary.Add("<|message end|>", 3);
  vocabulary.eom = message_end;
  vocabulary.eos_ids = {static_cast<int32_t>(turn_end), 'z'};
  EXPECT_EQ(MakeTokenizer(vocabulary)->end_ids(), (Ids{'z', end_of_text, turn_end, other, message_end}));
  EXPECT_EQ(MakeTokenizer(ByteVocabulary())->end_ids(), Ids{});
}

TEST(TokenizerTest, EndSpellingsCountOnlyWhereTheyAreControlTokens) {
  for (const char* spelling : {"<|endoftext|>", "<|end_of_text|>", "</s>", "<|im_end|>", "<|eot_id|>", "<|eom_id|>",
                               "<|end|>", "<end_of_turn>", "<EOT>", "<\uFF5Cend\u2581of\u2581sentence\uFF5C>"}) {
    TestVocabulary vocabulary = ByteVocabulary();
    const uint32_t id = vocabulary.Add(spelling, 3);
    EXPECT_EQ(MakeTokenizer(vocabulary)->end_ids(), Ids{id}) << spelling;
    for (const int32_t type : {1, 4}) {
      vocabulary.types[id] = type;
      EXPECT_EQ(MakeTokenizer(vocabulary)->end_ids(), Ids{}) << spelling;
    }
    vocabulary.eos = id;  // whatever its type
    EXPECT_EQ(MakeTokenizer(vocabulary)->end_ids(), Ids{id}) << spelling;
  }
}

TEST(TokenizerTest, LongestTextIsThatOfAnyTokenButSpecialOnes) {
  TestVocabulary vocabulary = ByteVocabulary();
  EXPECT_EQ(MakeTokenizer(vocabulary)->longest_text(), 1u);
  vocabulary.AddMerge("\u010A", "\u010A");
  vocabulary.Add("<|a long control token|>", 3);
  EXPECT_EQ(MakeTokenizer(vocabulary)->longest_text(), 2u);
  vocabulary.Add("<tool>", 4);
  EXPECT_EQ(MakeTokenizer(vocabulary)->longest_text(), 6u);
}

TEST(TokenizerTest, BeginTokenIsAddedOnlyIfTheFileSaysSo) {
  TestVocabulary vocabulary = ByteVocabulary();
  vocabulary.bos = 7;
  EXPECT_EQ(MakeTokenizer(vocabulary)->bos_to_add(), std::nullopt);
  vocabulary.add_bos = false;
  EXPECT_EQ(MakeTokenizer(vocabulary)->bos_to_add(), std::nullopt);
  vocabulary.add_bos = true;
  EXPECT_EQ(MakeTokenizer(vocabulary)->bos_to_add(), 7u);
  vocabulary.bos = std::nullopt;
  ExpectLoadError(vocabulary, absl::StatusCode::kInvalidArgument, "tokenizer.ggml.bos_token_id is missing");
}

TEST(TokenizerTest, Llama3BeginsPromptsUnlessTheFileSaysNo) {
  TestVocabulary vocabulary = ByteVocabulary();
  vocabulary.pre = "llama-bpe";
  EXPECT_EQ(MakeTokenizer(vocabulary)->bos_to_add(), std::nullopt);
  vocabulary.bos = 7;
  EXPECT_EQ(MakeTokenizer(vocabulary)->bos_to_add(), 7u);
  EXPECT_EQ(MakeTokenizer(vocabulary)->bos(), 7u);
  vocabulary.add_bos = false;
  EXPECT_EQ(MakeTokenizer(vocabulary)->bos_to_add(), std::nullopt);
}

TEST(TokenizerTest, Llama3TakesAWholeTokenThatMergesWouldNotMake) {
  TestVocabulary vocabulary = ByteVocabulary();
  const uint32_t ab = vocabulary.AddMerge("a", "b");
  const uint32_t abc = vocabulary.Add("abc");
  vocabulary.Add("ab!", 3);
  EXPECT_EQ(Encode(*MakeTokenizer(vocabulary), "abc"), (Ids{ab, 'c'}));
  vocabulary.pre = "llama-bpe";
  EXPECT_EQ(Encode(*MakeTokenizer(vocabulary), "abc"), (Ids{abc}));
  EXPECT_EQ(Encode(*MakeTokenizer(vocabulary), "abcd"), (Ids{ab, 'c', 'd'}));
}

TEST(TokenizerTest, OffsetsAreThoseOfTheText) {
  TestVocabulary vocabulary;
  vocabulary.Add("a");
  vocabulary.Add("!");
  vocabulary.AddMerge("!", "!");
  const auto tokens = MakeTokenizer(vocabulary)->EncodeWithOffsets("ba c!?!!");  // half of it is in no token
  ASSERT_TRUE(tokens.ok()) << tokens.status();
  ASSERT_EQ(tokens->size(), 3u);
  EXPECT_EQ((*tokens)[0].begin, 1u);
  EXPECT_EQ((*tokens)[1].begin, 4u);
  EXPECT_EQ((*tokens)[2].begin, 7u);
}

TEST(TokenizerTest, LoadNamesTheKeyThatIsWrong) {
  const TestVocabulary good = ByteVocabulary();
  TestVocabulary vocabulary = good;
  vocabulary.model = "bert";
  ExpectLoadError(vocabulary, absl::StatusCode::kUnimplemented, "tokenizer.ggml.model: 'bert'");
  vocabulary.model = "";
  ExpectLoadError(vocabulary, absl::StatusCode::kNotFound, "tokenizer.ggml.model");
  vocabulary = good;
  vocabulary.pre = "falcon";
  ExpectLoadError(vocabulary, absl::StatusCode::kUnimplemented, "tokenizer.ggml.pre: 'falcon'");
  vocabulary.pre = "";
  ExpectLoadError(vocabulary, absl::StatusCode::kNotFound, "tokenizer.ggml.pre");
  vocabulary = good;
  vocabulary.tokens.clear();
  ExpectLoadError(vocabulary, absl::StatusCode::kNotFound, "tokenizer.ggml.tokens");
  vocabulary = good;
  vocabulary.types.pop_back();
  ExpectLoadError(vocabulary, absl::StatusCode::kInvalidArgument, "tokenizer.ggml.token_type: has 255");
  vocabulary = good;
  vocabulary.eos = 256;
  ExpectLoadError(vocabulary, absl::StatusCode::kInvalidArgument, "tokenizer.ggml.eos_token_id: 256");
  vocabulary = good;
  vocabulary.eom = 256;
  ExpectLoadError(vocabulary, absl::StatusCode::kInvalidArgument, "tokenizer.ggml.eom_token_id: 256");
  vocabulary = good;
  vocabulary.eos_ids = {7, -1};
  ExpectLoadError(vocabulary, absl::StatusCode::kInvalidArgument, "tokenizer.ggml.eos_token_ids[1]: -1");
  for (const char* merge : {"", " ", "ab", "a ", " a", "a b", "a bc"}) {
    vocabulary = good;
    vocabulary.merges = {merge};
    ExpectLoadError(vocabulary, absl::StatusCode::kInvalidArgument, "tokenizer.ggml.merges[0]");
  }
  vocabulary = good;
  vocabulary.types.clear();  // without types every token is ordinary
  EXPECT_EQ(MakeTokenizer(vocabulary)->vocab_size(), 256);
}

// A character drawn so that all lengths and the classes which pre-tokenizers ask for are common.
std::string RandomCharacter(std::mt19937* random) {
  static constexpr uint32_t kRanges[][2] = {{0x20, 0x7F},     {0x61, 0x7A},     {0x30, 0x39},
                                            {0x0, 0x20},      {0x80, 0x7FF},    {0x800, 0xD7FF},
                                            {0x2000, 0x200F}, {0xE000, 0xFFFF}, {0x10000, 0x10FFFF}};
  const auto& range = kRanges[(*random)() % std::size(kRanges)];
  const uint32_t value = range[0] + (*random)() % (range[1] - range[0] + 1);
  if (value < 0x80) return std::string(1, static_cast<char>(value));
  const int length = value < 0x800 ? 2 : value < 0x10000 ? 3 : 4;
  std::string bytes(length, '\0');
  uint32_t rest = value;
  for (int i = length - 1; i > 0; --i, rest >>= 6) bytes[i] = static_cast<char>(0x80 | (rest & 0x3F));
  bytes[0] = static_cast<char>((0xF00 >> length & 0xFF) | rest);
  return bytes;
}

TEST(TokenizerTest, DecodingGivesTheTextBack) {
  TestVocabulary vocabulary = ByteVocabulary();
  for (const char* pair :
       {"a b", "c d", "\u0120 a", "ab cd", "1 2", "\u00C3 \u00A9", "\u010A \u010A", "\u00F0 \u0141"}) {
    const std::string text = pair;
    const size_t space = text.find(' ', 1);
    vocabulary.AddMerge(text.substr(0, space), text.substr(space + 1));
  }
  for (const char* spelling : {"  ", "   ", "a ", "\u00E9", "<|x", "0", "\n\n"}) vocabulary.Add(spelling, 4);
  vocabulary.Add("a", 3);
  for (const char* pre : {"gpt-2", "smollm", "llama-bpe", "qwen2", "qwen35", "tekken"}) {
    vocabulary.pre = pre;
    const auto tokenizer = MakeTokenizer(vocabulary);
    for (uint32_t seed = 0; seed < 500; ++seed) {
      SCOPED_TRACE(testing::Message() << pre << ", seed " << seed);
      std::mt19937 random(seed);
      std::string text;
      for (int length = random() % 100; length > 0; --length) text += RandomCharacter(&random);
      ASSERT_EQ(FindInvalidUtf8(text), std::nullopt);
      ASSERT_EQ(Decode(*tokenizer, Encode(*tokenizer, text)), text);
    }
  }
}

TEST(TokenizerTest, LongWordsAndLongTextsTakeNoQuadraticTime) {
  TestVocabulary vocabulary = ByteVocabulary();
  vocabulary.AddMerge("a", "b");
  vocabulary.AddMerge("ab", "ab");
  const auto tokenizer = MakeTokenizer(vocabulary);
  std::string word;
  for (int i = 0; i < 500000; ++i) word += "ab";
  std::string words;
  while (words.size() < 4 << 20) words += "ab abab 12 \n\n\u00E9 ";
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(Encode(*tokenizer, word).size(), 250000u);
  EXPECT_FALSE(Encode(*tokenizer, words).empty());
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
}

}  // namespace
}  // namespace kedge
