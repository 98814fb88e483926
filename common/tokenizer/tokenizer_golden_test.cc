// Token ids against independent implementations. The small vocabulary's vectors always run; the others need files from
// outside, whose places come from the environment (only here), and are skipped with the reason where these are absent.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "common/tokenizer/chat_template.h"
#include "common/tokenizer/test_vocabulary.h"
#include "common/tokenizer/tokenizer.h"

namespace kedge {
namespace {

using Ids = std::vector<uint32_t>;

constexpr char kTestData[] = "common/tokenizer/testdata/";
constexpr char kModelName[] = "SmolLM2-135M-Instruct.Q4_1.gguf";

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file.good()) << "cannot read " << path;
  std::ostringstream bytes;
  bytes << file.rdbuf();
  return bytes.str();
}

nlohmann::json ReadJson(const std::string& name) { return nlohmann::json::parse(ReadFile(kTestData + name)); }

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// KEDGE_MODEL, or the default model in the cache directory; empty if there is none.
std::string FindModel() {
  if (const std::string path = Environment("KEDGE_MODEL"); !path.empty()) return path;
  std::string cache = Environment("XDG_CACHE_HOME");
  if (cache.empty()) cache = Environment("HOME") + "/.cache";
  const std::string path = cache + "/kedge/" + kModelName;
  return std::ifstream(path).good() ? path : "";
}

#define KEDGE_SKIP_WITHOUT_MODEL(path)                                                                         \
  if ((path).empty()) {                                                                                        \
    GTEST_SKIP() << "the default model is not here: give bazel --test_env=KEDGE_MODEL=<path of " << kModelName \
                 << "> (`./kedge run` puts it into ~/.cache/kedge)";                                           \
  }

std::string Decode(const Tokenizer& tokenizer, const Ids& ids) {
  Detokenizer detokenizer(&tokenizer, /*skip_special_tokens=*/false, Detokenizer::Begin::kText);
  std::string text;
  for (const uint32_t id : ids) text += detokenizer.Push(id);
  return text + detokenizer.Finish();
}

void ExpectIds(const Tokenizer& tokenizer, const std::string& text, const Ids& expected) {
  const auto ids = tokenizer.Encode(text);
  ASSERT_TRUE(ids.ok()) << ids.status();
  EXPECT_EQ(*ids, expected) << "of: " << text.substr(0, 200) << "\ngot:      " << Decode(tokenizer, *ids).substr(0, 200)
                            << "\nexpected: " << Decode(tokenizer, expected).substr(0, 200);
}

// Every text has the ids that its vector has, and these give the text back.
void ExpectVectors(const Tokenizer& tokenizer, const nlohmann::json& vectors) {
  for (const auto& vector : vectors) {
    const std::string text = vector["text"];
    ExpectIds(tokenizer, text, vector["ids"].get<Ids>());
    EXPECT_EQ(Decode(tokenizer, vector["ids"].get<Ids>()), text);
  }
}

constexpr const char* kPreTokenizers[] = {"gpt-2", "smollm", "llama-bpe", "qwen2", "qwen35", "tekken"};

TEST(TokenizerGoldenTest, SmallVocabularyEqualsHuggingFaceTokenizers) {
  const nlohmann::json data = ReadJson("small_vocabulary.json");
  const nlohmann::json with_added = ReadJson("small_added_tokens.json");
  TestVocabulary vocabulary;
  vocabulary.tokens = data["tokens"].get<std::vector<std::string>>();
  vocabulary.merges = data["merges"].get<std::vector<std::string>>();
  for (const char* pre : kPreTokenizers) {
    SCOPED_TRACE(pre);
    vocabulary.pre = pre;
    ASSERT_GT(data[pre].size(), 45u);
    ExpectVectors(*MakeTokenizer(vocabulary), data[pre]);
  }
  vocabulary.types.resize(vocabulary.tokens.size(), 1);
  for (const auto& spelling : with_added["added"]) vocabulary.Add(spelling, 4);
  for (const char* pre : kPreTokenizers) {
    SCOPED_TRACE(pre);
    vocabulary.pre = pre;
    ASSERT_GE(with_added[pre].size(), 10u);
    ExpectVectors(*MakeTokenizer(vocabulary), with_added[pre]);
  }
}

TestVocabulary SentencePieceOf(const nlohmann::json& data) {
  TestVocabulary vocabulary;
  vocabulary.model = "llama";
  vocabulary.tokens = data["tokens"].get<std::vector<std::string>>();
  vocabulary.scores = data["scores"].get<std::vector<float>>();
  vocabulary.types = data["types"].get<std::vector<int32_t>>();
  return vocabulary;
}

TEST(TokenizerGoldenTest, SmallSentencePieceWithUserDefinedSymbolsEqualsItsOwnModel) {
  const nlohmann::json data = ReadJson("small_user_defined.json");
  const TestVocabulary vocabulary = SentencePieceOf(data);
  ASSERT_GT(std::count(vocabulary.types.begin(), vocabulary.types.end(), 4), 10);
  ASSERT_GT(data["texts"].size(), 55u);
  const auto tokenizer = MakeTokenizer(vocabulary);
  for (const auto& vector : data["texts"]) ExpectIds(*tokenizer, vector["text"], vector["ids"].get<Ids>());
}

TEST(TokenizerGoldenTest, SmallSentencePieceEqualsItsOwnModel) {
  const nlohmann::json data = ReadJson("small_sentence_piece.json");
  const auto tokenizer = MakeTokenizer(SentencePieceOf(data));
  ASSERT_GT(data["texts"].size(), 45u);
  ExpectVectors(*tokenizer, data["texts"]);
  const AnchorSets sets = FindAnchorSets(*tokenizer);
  ASSERT_TRUE(sets.full_stop.has_value());
  const auto stop = tokenizer->Encode("a.");
  ASSERT_TRUE(stop.ok());
  EXPECT_EQ(stop->back(), *sets.full_stop);
}

TEST(TokenizerGoldenTest, DefaultModelEqualsHuggingFaceTokenizersAndJinja) {
  const std::string path = FindModel();
  KEDGE_SKIP_WITHOUT_MODEL(path);
  const auto file = GgufFile::Open(path);
  ASSERT_TRUE(file.ok()) << file.status();
  const auto tokenizer = Tokenizer::Load(**file);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  const auto chat_template = ChatTemplate::Load(**file, tokenizer->get());
  ASSERT_TRUE(chat_template.ok()) << chat_template.status();

  const nlohmann::json data = ReadJson("smollm2_vectors.json");
  ASSERT_GT(data["texts"].size(), 50u);
  for (const auto& vector : data["texts"]) ExpectIds(**tokenizer, vector["text"], vector["ids"].get<Ids>());

  ASSERT_GT(data["chats"].size(), 10u);
  for (const auto& chat : data["chats"]) {
    SCOPED_TRACE(chat["text"].get<std::string>());
    Conversation conversation{.add_generation_prompt = chat["add_generation_prompt"].get<bool>()};
    for (const auto& message : chat["messages"]) {
      conversation.messages.push_back({message["role"], message["content"].get<std::string>()});
    }
    const auto prompt = (*chat_template)->Apply(conversation);
    ASSERT_TRUE(prompt.ok()) << prompt.status();
    EXPECT_EQ(prompt->ids, chat["ids"].get<Ids>());
    EXPECT_EQ(Decode(**tokenizer, prompt->ids), chat["text"].get<std::string>());
    std::vector<bool> no_anchor;
    for (const auto& bit : chat["no_anchor"]) no_anchor.push_back(bit.get<int>() != 0);
    EXPECT_EQ(prompt->no_anchor, no_anchor);
  }
}

TEST(TokenizerGoldenTest, DefaultModelHasTheKnownAnchorSets) {
  const std::string path = FindModel();
  KEDGE_SKIP_WITHOUT_MODEL(path);
  const auto file = GgufFile::Open(path);
  ASSERT_TRUE(file.ok()) << file.status();
  const auto tokenizer = Tokenizer::Load(**file);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_EQ((*tokenizer)->vocab_size(), 49152);
  EXPECT_EQ((*tokenizer)->end_ids(), (Ids{0, 2}));
  EXPECT_EQ((*tokenizer)->bos_to_add(), std::nullopt);

  const AnchorSets sets = FindAnchorSets(**tokenizer);
  size_t full_width = 0;
  for (const uint32_t id : sets.sentence) {
    for (const char* mark : {"。", "！", "？"}) {
      full_width += (*tokenizer)->TokenBytes(id).find(mark) != absl::string_view::npos;
    }
  }
  // Counted by an independent program: 133 tokens that hold a line break, 105 that end a sentence by their marks, one of
  // them in full width, and the two ends. (Nobody else counted the separators.)
  EXPECT_EQ(full_width, 1u);
  EXPECT_EQ(sets.sentence.size(), 133u + 105u + 2u);
  EXPECT_EQ(sets.separators.size(), 399u + 2u);
  ASSERT_TRUE(sets.full_stop.has_value());
  EXPECT_EQ((*tokenizer)->TokenBytes(*sets.full_stop), ".");
}

constexpr char kVocabulariesAbsent[] =
    "KEDGE_VOCAB_DIR is not set. To get the vectors: pip download --no-deps --no-binary=:all: "
    "llama-cpp-python==0.3.36; unpack it; then give bazel --test_env=KEDGE_VOCAB_DIR=<its folder "
    "vendor/llama.cpp/models>";

// One of llama.cpp's vocabularies, with its texts (.inp) and their ids (.out).
class LlamaCppVectorsTest : public testing::TestWithParam<const char*> {};

TEST_P(LlamaCppVectorsTest, IdsAreEqual) {
  const std::string folder = Environment("KEDGE_VOCAB_DIR");
  if (folder.empty()) GTEST_SKIP() << kVocabulariesAbsent;
  const std::string path = folder + "/ggml-vocab-" + GetParam() + ".gguf";
  const auto file = GgufFile::Open(path);
  if (absl::IsNotFound(file.status())) GTEST_SKIP() << "this version of the vocabularies has no " << path;
  ASSERT_TRUE(file.ok()) << file.status();
  const auto tokenizer = Tokenizer::Load(**file);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();

  const std::string separator = "\n__ggml_vocab_test__\n";
  const std::string texts = ReadFile(path + ".inp");
  std::istringstream lines(ReadFile(path + ".out"));
  size_t count = 0;
  for (size_t begin = 0; begin < texts.size(); ++count) {
    size_t end = texts.find(separator, begin);
    if (end == std::string::npos) end = texts.size();
    std::string line;
    ASSERT_TRUE(std::getline(lines, line)) << "no ids for text " << count;
    std::istringstream numbers(line);
    Ids expected;
    for (uint32_t id; numbers >> id;) expected.push_back(id);
    const std::string text = texts.substr(begin, end - begin);
    ExpectIds(**tokenizer, text, expected);
    EXPECT_EQ(Decode(**tokenizer, expected), text);
    begin = end + separator.size();
  }
  EXPECT_GT(count, 40u);
}

INSTANTIATE_TEST_SUITE_P(Vocabularies, LlamaCppVectorsTest,
                         testing::Values("command-r", "gpt-2", "llama-bpe", "llama-spm", "mpt", "phi-3", "qwen2",
                                         "qwen35", "refact", "starcoder"),
                         [](const auto& info) {
                           std::string name = info.param;
                           for (char& c : name) {
                             if (c == '-') c = '_';
                           }
                           return name;
                         });

// The vocabularies of Llama 3 and Qwen2 against Hugging Face's tokenizers, made from the same files.
TEST(TokenizerGoldenTest, CommonVocabulariesEqualHuggingFaceTokenizers) {
  const std::string folder = Environment("KEDGE_VOCAB_DIR");
  if (folder.empty()) GTEST_SKIP() << kVocabulariesAbsent;
  const nlohmann::json data = ReadJson("vocabulary_vectors.json");
  for (const std::string name : {"llama-bpe", "qwen2"}) {
    SCOPED_TRACE(name);
    const auto file = GgufFile::Open(folder + "/ggml-vocab-" + name + ".gguf");
    ASSERT_TRUE(file.ok()) << file.status();
    const auto tokenizer = Tokenizer::Load(**file);
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
    ASSERT_GT(data[name].size(), 55u);
    ExpectVectors(**tokenizer, data[name]);
  }
}

// Well-known ids of these two vocabularies.
TEST(TokenizerGoldenTest, Llama2AndLlama3HaveTheKnownAnchors) {
  const std::string folder = Environment("KEDGE_VOCAB_DIR");
  if (folder.empty()) GTEST_SKIP() << kVocabulariesAbsent;
  const struct {
    const char* name;
    uint32_t full_stop, bos, end;
  } kCases[] = {{"llama-spm", 29889, 1, 2}, {"llama-bpe", 13, 128000, 128009}};
  for (const auto& test : kCases) {
    SCOPED_TRACE(test.name);
    const auto file = GgufFile::Open(folder + "/ggml-vocab-" + test.name + ".gguf");
    ASSERT_TRUE(file.ok()) << file.status();
    const auto tokenizer = Tokenizer::Load(**file);
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
    EXPECT_EQ((*tokenizer)->bos_to_add(), test.bos);
    const AnchorSets sets = FindAnchorSets(**tokenizer);
    EXPECT_EQ(sets.full_stop, test.full_stop);
    for (const uint32_t id : {test.full_stop, test.end}) {
      EXPECT_TRUE(std::binary_search(sets.sentence.begin(), sets.sentence.end(), id)) << id;
    }
  }
}

}  // namespace
}  // namespace kedge
