// Chat templates against Jinja2: the texts are what the models' own templates render (tools/make_chat_vectors.py). Two
// vocabularies spell them out: bytes, and SentencePiece's bytes with spaces.
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "common/tokenizer/chat_template.h"
#include "common/tokenizer/test_vocabulary.h"
#include "common/tokenizer/tokenizer.h"

namespace kedge {
namespace {

nlohmann::json ReadVectors() {
  std::ifstream file("common/tokenizer/testdata/chat_vectors.json");
  EXPECT_TRUE(file.good());
  return nlohmann::json::parse(file);
}

// The tokens that a format's templates write. `marks`: also those that are plain text in most vocabularies.
TestVocabulary AddControls(TestVocabulary vocabulary, const nlohmann::json& vector, bool marks) {
  const auto add = [&](const std::string& spelling) {
    if (!vocabulary.scores.empty()) vocabulary.scores.push_back(0);
    return vocabulary.Add(spelling, 3);
  };
  vocabulary.bos = add(vector["bos"]);
  vocabulary.eos = vector["eos"] == vector["bos"] ? vocabulary.bos : add(vector["eos"]);
  for (const char* spelling :
       {"<|im_start|>", "<|im_end|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"}) {
    add(spelling);
  }
  for (const char* spelling : {"[INST]", "[/INST]", "<|system|>", "<|user|>", "<|assistant|>"}) {
    if (marks) add(spelling);
  }
  vocabulary.chat_template = vector["source"];
  return vocabulary;
}

// The text of a prompt, and for each of its bytes whether it is marked.
struct Shown {
  std::string text;
  std::vector<bool> marked;
};

Shown Show(const Tokenizer& tokenizer, const PromptTokens& prompt) {
  Detokenizer detokenizer(&tokenizer, /*skip_special_tokens=*/false, Detokenizer::Begin::kText);
  Shown shown;
  for (size_t i = 0; i < prompt.ids.size(); ++i) {
    shown.text += detokenizer.Push(prompt.ids[i]);
    shown.marked.resize(shown.text.size(), prompt.no_anchor[i]);
  }
  return shown;
}

void ExpectChats(const TestVocabulary& vocabulary, const nlohmann::json& vector, const std::string& begin) {
  const TestFile file = MakeTestFile(vocabulary);
  const auto tokenizer = MakeTokenizer(vocabulary);
  const auto chat_template = ChatTemplate::Recognise(*file.gguf, tokenizer.get());
  ASSERT_TRUE(chat_template.ok()) << chat_template.status();
  EXPECT_EQ((*chat_template)->name(), vector["format"].get<std::string>());
  ASSERT_GT(vector["chats"].size(), 20u);
  for (const auto& chat : vector["chats"]) {
    SCOPED_TRACE(chat.dump());
    std::vector<ChatMessage> messages;
    for (const auto& message : chat["messages"]) messages.push_back({message["role"], message["content"]});
    const auto prompt = (*chat_template)->Apply(messages, chat["add_generation_prompt"].get<bool>());
    if (chat.contains("error")) {
      EXPECT_EQ(prompt.status().code(), absl::StatusCode::kInvalidArgument) << prompt.status();
      continue;
    }
    ASSERT_TRUE(prompt.ok()) << prompt.status();
    ASSERT_EQ(prompt->ids.size(), prompt->no_anchor.size());
    const Shown shown = Show(*tokenizer, *prompt);
    EXPECT_EQ(shown.text, begin + chat["text"].get<std::string>());
    std::vector<bool> marked(shown.text.size(), false);
    for (const auto& opener : chat["openers"]) {
      for (size_t i = opener[0]; i < opener[1]; ++i) marked[begin.size() + i] = true;
    }
    EXPECT_EQ(shown.marked, marked);
  }
}

TEST(ChatGoldenTest, ByteVocabularyEqualsJinja) {
  for (const auto& vector : ReadVectors()) {
    SCOPED_TRACE(vector["name"].get<std::string>());
    ExpectChats(AddControls(ByteVocabulary(), vector, false), vector, "");
    ExpectChats(AddControls(ByteVocabulary(), vector, true), vector, "");
  }
}

TEST(ChatGoldenTest, SentencePieceVocabularyEqualsJinja) {
  for (const auto& vector : ReadVectors()) {
    SCOPED_TRACE(vector["name"].get<std::string>());
    // Such a vocabulary's prompts begin with a token that these two templates do not write.
    const bool adds_bos = vector["format"] == "chatml" || vector["format"] == "zephyr";
    const std::string begin = adds_bos ? vector["bos"].get<std::string>() : "";
    ExpectChats(AddControls(SentencePieceVocabulary({"_"}), vector, false), vector, begin);
    ExpectChats(AddControls(SentencePieceVocabulary({"_"}), vector, true), vector, begin);
  }
}

}  // namespace
}  // namespace kedge
