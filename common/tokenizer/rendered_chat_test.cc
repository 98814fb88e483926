#include "common/tokenizer/rendered_chat.h"

#include <string>
#include <vector>

#include "common/tokenizer/chat_input.h"
#include "common/tokenizer/test_vocabulary.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

// A chat of pieces: template text, or for a digit the content of that message.
RenderedChat Chat(const std::vector<std::string>& pieces, size_t messages, const std::string& content = "x") {
  std::vector<jinja::Piece> list;
  for (const std::string& piece : pieces) {
    const bool is_content = piece.size() == 1 && piece[0] >= '0' && piece[0] <= '9';
    list.push_back(is_content ? jinja::Piece{content, ContentOrigin(static_cast<size_t>(piece[0] - '0'))}
                              : jinja::Piece{piece, jinja::kTemplate});
  }
  RenderedChat chat = Flatten(list);
  chat.messages = messages;
  return chat;
}

std::string Marked(const RenderedChat& chat, const std::vector<ByteSpan>& openers) {
  std::string text(chat.text.size(), '_');
  for (const ByteSpan& opener : openers) {
    text.replace(opener.begin, opener.end - opener.begin, chat.text, opener.begin, opener.end - opener.begin);
  }
  return text;
}

std::string Openers(const RenderedChat& chat, const std::vector<bool>& is_answer, absl::string_view opener,
                    bool at_end) {
  return Marked(chat, FindOpeners(chat, is_answer, opener, at_end));
}

TEST(RenderedChatTest, PiecesOfOneOriginAreOneRun) {
  const RenderedChat chat = Chat({"ab", "c", "0", "", "0", "d"}, 1);
  EXPECT_EQ(chat.text, "abcxxd");
  ASSERT_EQ(chat.runs.size(), 3u);
  EXPECT_EQ(chat.runs[1].origin, ContentOrigin(0));
  EXPECT_EQ(static_cast<const ByteSpan&>(chat.runs[1]), (ByteSpan{3, 5}));
  EXPECT_TRUE(chat.IsTemplates({0, 3}));
  EXPECT_TRUE(chat.IsTemplates({5, 6}));
  EXPECT_FALSE(chat.IsTemplates({2, 4}));
  EXPECT_FALSE(chat.IsTemplates({4, 6}));
}

TEST(RenderedChatTest, AnOpenerIsWhatAskingAdds) {
  const RenderedChat unasked = Chat({"U:", "0", "\n"}, 1);
  EXPECT_EQ(FindOpener(Chat({"U:", "0", "\nA:"}, 1), unasked), "A:");
  EXPECT_EQ(FindOpener(unasked, unasked), "");
  EXPECT_EQ(FindOpener(Chat({"U:", "0", " A:"}, 1), unasked), " A:");  // in the place of something
  EXPECT_EQ(FindOpener(Chat({"V:", "0", "\nA:"}, 1), unasked), "");    // another chat
}

TEST(RenderedChatTest, ATemplateThatAlwaysOpensAnAnswerIsKnownByTwoUsersMessages) {
  TestVocabulary vocabulary = ByteVocabulary();
  for (const char* mark : {"<bos>", "<eot>", "<head>"}) vocabulary.Add(mark, 3);
  const auto tokenizer = MakeTokenizer(vocabulary);
  const RenderedChat one = Chat({"<bos><head>user\n", "0", "<eot><head>assistant\n"}, 1);
  const RenderedChat two = Chat({"<bos><head>user\n", "0", "<eot><head>user\n", "1", "<eot><head>assistant\n"}, 2);
  EXPECT_EQ(FindConstantOpener(*tokenizer, one, &two), "<head>assistant\n");
  const RenderedChat question = Chat({"[INST] ", "0", " [/INST]"}, 1);
  EXPECT_EQ(FindConstantOpener(*tokenizer, question, nullptr), " [/INST]");
  const RenderedChat nothing = Chat({"<head>user\n", "0", "<eot>"}, 1);
  const RenderedChat nothing_twice = Chat({"<head>user\n", "0", "<eot><head>user\n", "1", "<eot>"}, 2);
  EXPECT_EQ(FindConstantOpener(*tokenizer, nothing, &nothing_twice), "");
  EXPECT_EQ(FindConstantOpener(*tokenizer, Chat({"no message"}, 1), nullptr), "");
}

TEST(RenderedChatTest, EveryAnswersOpenerIsFound) {
  const RenderedChat chat = Chat({"[user\n", "0", "]\n[bot\n", "1", "]\n[user\n", "2", "]\n[bot\n"}, 3);
  EXPECT_EQ(Openers(chat, {false, true, false}, "[bot\n", true), "_________[bot\n____________[bot\n");
  EXPECT_EQ(Openers(chat, {false, true, false}, "[bot\n", false), "_________[bot\n_________________");
  EXPECT_EQ(Openers(chat, {false, false, false}, "[bot\n", false), std::string(31, '_'));
  EXPECT_EQ(Openers(chat, {false, true, false}, "", true), std::string(31, '_'));
}

TEST(RenderedChatTest, AnAnswersOpenerMayBeTheBeginningOfTheLastOnes) {
  const RenderedChat chat = Chat({"[user\n", "0", "]\n[bot\n", "1", "]\n[bot\n<think></think>"}, 2);
  EXPECT_EQ(Openers(chat, {false, true}, "[bot\n<think></think>", true), "_________[bot\n___[bot\n<think></think>");
}

TEST(RenderedChatTest, AnEmptyAnswerHasAnOpener) {
  const RenderedChat chat = Chat({"[user\n", "0", "]\n[bot\n]\n[user\n", "2", "]\n"}, 3);
  EXPECT_EQ(Openers(chat, {false, true, false}, "[bot\n", false), "_________[bot\n___________");
  const RenderedChat last = Chat({"[user\n", "0", "]\n[bot\n]\n[bot\n"}, 2);
  EXPECT_EQ(Openers(last, {false, true}, "[bot\n", true), "_________[bot\n__[bot\n");
}

TEST(RenderedChatTest, WhatAMessageSaysIsNoOpener) {
  const RenderedChat chat = Chat({"[", "0", "]", "1", "]"}, 2, "[bot\n");
  EXPECT_EQ(Openers(chat, {false, true}, "[bot\n", false), std::string(chat.text.size(), '_'));
}

TEST(RenderedChatTest, IsCutBehindTheLastOfAContent) {
  RenderedChat chat = Chat({"[", "0", "]", "1", ",", "1", "]end"}, 2);
  EXPECT_TRUE(CutBehindContent(&chat, 1));
  EXPECT_EQ(chat.text, "[x]x,x");
  EXPECT_EQ(chat.runs.size(), 6u);
  EXPECT_FALSE(CutBehindContent(&chat, 2));
}

}  // namespace
}  // namespace kedge
