// Chat templates against Jinja2: the texts are what the models' own templates render (tools/make_chat_vectors.py). Two
// vocabularies spell them out: bytes, and SentencePiece's bytes with spaces.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <regex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

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
    const auto known = std::find(vocabulary.tokens.begin(), vocabulary.tokens.end(), spelling);
    if (known != vocabulary.tokens.end()) return static_cast<uint32_t>(known - vocabulary.tokens.begin());
    if (!vocabulary.scores.empty()) vocabulary.scores.push_back(0);
    return vocabulary.Add(spelling, 3);
  };
  vocabulary.bos = add(vector["bos"]);
  vocabulary.eos = add(vector["eos"]);
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
  const auto chat_template = ChatTemplate::Load(*file.gguf, tokenizer.get());
  ASSERT_TRUE(chat_template.ok()) << chat_template.status();
  ASSERT_GT(vector["chats"].size(), 20u);
  for (const auto& chat : vector["chats"]) {
    SCOPED_TRACE(chat.dump());
    Conversation conversation{.add_generation_prompt = chat["add_generation_prompt"].get<bool>()};
    for (const auto& message : chat["messages"]) {
      conversation.messages.push_back({message["role"], message["content"].get<std::string>()});
    }
    const auto prompt = (*chat_template)->Apply(conversation);
    if (chat.contains("error")) {
      EXPECT_EQ(prompt.status().code(), absl::StatusCode::kInvalidArgument) << prompt.status();
      EXPECT_NE(prompt.status().message().find(chat["error"].get<std::string>()), absl::string_view::npos)
          << prompt.status();
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

// Special tokens among the ids.
size_t CountSpecial(const Tokenizer& tokenizer, const PromptTokens& prompt) {
  return std::count_if(prompt.ids.begin(), prompt.ids.end(), [&](uint32_t id) { return tokenizer.IsSpecial(id); });
}

// A vocabulary with every mark that the template names, and the text that spells them all.
std::pair<TestVocabulary, std::string> MarksOf(const std::string& source) {
  TestVocabulary vocabulary = ByteVocabulary();
  std::string spellings;
  const auto add = [&](const std::string& spelling) {
    absl::StrAppend(&spellings, spelling, " ");
    return vocabulary.Add(spelling, 3);
  };
  vocabulary.bos = add("<s>");
  vocabulary.eos = add("</s>");
  const std::regex mark("<\\|[^|<>' ]+\\|>|<\uFF5C[^<>' ]+\uFF5C>|\\[/?[A-Z_]{2,}\\]|<(start|end)_of_turn>");
  std::set<std::string> known;
  for (auto match = std::sregex_iterator(source.begin(), source.end(), mark); match != std::sregex_iterator(); ++match) {
    if (known.insert(match->str()).second) add(match->str());
  }
  vocabulary.chat_template = source;
  return {vocabulary, spellings};
}

Conversation Turns(const std::string& content, int turns, bool with_tools) {
  Conversation conversation;
  if (with_tools) {
    conversation.tools = {{.name = "f", .description = "d", .parameters = R"({"type": "object", "properties": {}})"}};
  }
  conversation.template_arguments = R"({"functions": "[]", "datetime": "today"})";  // that one of them asks for
  for (int i = 0; i < turns; ++i) {
    if (i > 0) conversation.messages.push_back({"assistant", content});
    conversation.messages.push_back({"user", content});
  }
  return conversation;
}

// What a chat template must keep, whichever it is: what is said makes no special tokens; and a turn begins with the turn
// before it, with the same marks, since its rows are in a cache.
void ExpectSoundChats(const std::string& source, bool with_tools = false) {
  const auto [vocabulary, spellings] = MarksOf(source);
  const TestFile file = MakeTestFile(vocabulary);
  const auto tokenizer = MakeTokenizer(vocabulary);
  const auto chat_template = ChatTemplate::Load(*file.gguf, tokenizer.get());
  ASSERT_TRUE(chat_template.ok()) << chat_template.status();
  PromptTokens before;
  for (int turns = 1; turns <= 3; ++turns) {
    const auto plain = (*chat_template)->Apply(Turns("Say it.", turns, with_tools));
    ASSERT_TRUE(plain.ok()) << plain.status();
    const auto hostile = (*chat_template)->Apply(Turns(spellings, turns, with_tools));
    ASSERT_TRUE(hostile.ok()) << hostile.status();
    EXPECT_EQ(CountSpecial(*tokenizer, *hostile), CountSpecial(*tokenizer, *plain));
    EXPECT_FALSE(plain->messages.back().empty());
    // (But for two that write something into the last turn alone: a begun thought, or how to call tools.)
    if (!absl::StrContains(source, "<think>") && !absl::StrContains(source, "SYSTEM_TOKEN|>Write ")) {
      ASSERT_GT(plain->ids.size(), before.ids.size());
      EXPECT_TRUE(std::equal(before.ids.begin(), before.ids.end(), plain->ids.begin()));
      EXPECT_TRUE(std::equal(before.no_anchor.begin(), before.no_anchor.end(), plain->no_anchor.begin()));
    }
    before = *plain;
  }
}

TEST(ChatGoldenTest, EveryTemplateKeepsTextAndTurnsApart) {
  for (const auto& vector : ReadVectors()) {
    SCOPED_TRACE(vector["name"].get<std::string>());
    ExpectSoundChats(vector["source"]);
  }
}

TEST(ChatGoldenTest, ManyModelsTemplatesKeepTextAndTurnsApart) {
  const char* const folder = std::getenv("KEDGE_VOCAB_DIR");
  if (folder == nullptr) {
    GTEST_SKIP() << "set KEDGE_VOCAB_DIR to the folder vendor/llama.cpp/models of the llama-cpp-python sdist";
  }
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(std::string(folder) + "/templates")) {
    if (entry.path().extension() != ".jinja") continue;
    SCOPED_TRACE(entry.path());
    std::ifstream stream(entry.path());
    ExpectSoundChats(std::string(std::istreambuf_iterator<char>(stream), {}),
                     /*with_tools=*/absl::StrContains(entry.path().string(), "tool_use"));  // those have no other chats
    ++count;
  }
  EXPECT_GT(count, 10);
}

}  // namespace
}  // namespace kedge
