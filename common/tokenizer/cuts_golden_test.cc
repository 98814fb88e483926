// Where prompts of many kinds are cut: the text's own ends, which are the same in every vocabulary, and the places
// where sequences of more than 48 rows are cut, which depend on how many tokens a text has. testdata/cuts.json holds
// what was found right by reading it. The small vocabulary always runs; the others need files from outside
// (FindVocabulary).
#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/tokenizer/cut_strength.h"
#include "common/tokenizer/sequence_ends.h"
#include "common/tokenizer/test_vocabulary.h"
#include "common/tokenizer/tokenizer.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace kedge {
namespace {

constexpr char kTestData[] = "common/tokenizer/testdata/";
constexpr uint32_t kLongest = 48;

using Pieces = std::vector<std::string>;

nlohmann::json ReadJson(const std::string& name) {
  std::ifstream file(kTestData + name, std::ios::binary);
  EXPECT_TRUE(file.good()) << name;
  return nlohmann::json::parse(file);
}

Pieces Cut(const Tokenizer& tokenizer, const std::string& text, uint32_t longest) {
  const absl::StatusOr<std::vector<uint32_t>> ids = tokenizer.Encode(text);
  EXPECT_TRUE(ids.ok()) << ids.status();
  Pieces pieces = {""};
  const std::vector<uint32_t> ends = FindSequenceEnds(FindCutStrengths(tokenizer, {.ids = *ids}), longest);
  auto end = ends.begin();
  uint32_t rows = 0;
  for (uint32_t i = 0; i < ids->size(); ++i) {
    absl::StrAppend(&pieces.back(), tokenizer.TokenBytes((*ids)[i]));
    if (longest > 0) EXPECT_LE(++rows, longest) << pieces.back();
    if (end == ends.end() || *end != i) continue;
    ++end;
    rows = 0;
    pieces.emplace_back();
  }
  if (pieces.back().empty()) pieces.pop_back();
  return pieces;
}

// The same pieces where a token that holds the end of one is not cut: it belongs to that one.
Pieces ByTokens(const Tokenizer& tokenizer, const Pieces& pieces) {
  const std::string text = absl::StrJoin(pieces, "");
  const std::vector<TextToken> tokens = tokenizer.EncodeWithOffsets(text).value();
  std::vector<size_t> begins;
  for (const TextToken& token : tokens) begins.push_back(token.begin);
  Pieces result;
  size_t begin = 0, end = 0;
  for (const std::string& piece : pieces) {
    end += piece.size();
    const auto next = std::lower_bound(begins.begin(), begins.end(), end);
    const size_t place = next == begins.end() ? text.size() : *next;
    if (place > begin) result.push_back(text.substr(begin, place - begin));
    begin = place;
  }
  return result;
}

std::string JsonOf(const Pieces& pieces) { return nlohmann::json(pieces).dump(1, ' ', false); }

void ExpectCuts(const std::string& vocabulary, const Tokenizer& tokenizer) {
  const nlohmann::json data = ReadJson("cuts.json");
  ASSERT_GE(data["ends"].size(), 20u);
  for (const auto& [name, expected] : data["ends"].items()) {
    const Pieces pieces = expected.get<Pieces>();
    EXPECT_EQ(JsonOf(Cut(tokenizer, absl::StrJoin(pieces, ""), 0)), JsonOf(ByTokens(tokenizer, pieces)))
        << vocabulary << ", " << name;
  }
  for (const auto& [name, expected] : data["long"].items()) {
    const std::string text = expected["text"].get<std::string>();
    const Pieces pieces = Cut(tokenizer, text, kLongest);
    EXPECT_EQ(absl::StrJoin(pieces, ""), text) << vocabulary << ", " << name;
    EXPECT_EQ(JsonOf(pieces), JsonOf(expected[vocabulary].get<Pieces>())) << vocabulary << ", " << name;
  }
}

TEST(CutsGoldenTest, SmallVocabulary) {
  const nlohmann::json data = ReadJson("small_vocabulary.json");
  TestVocabulary vocabulary;
  vocabulary.tokens = data["tokens"].get<std::vector<std::string>>();
  vocabulary.merges = data["merges"].get<std::vector<std::string>>();
  vocabulary.pre = "qwen2";
  ExpectCuts("small", *MakeTokenizer(vocabulary));
}

// Where the file is, or empty.
std::string FindVocabulary(const char* variable, const std::string& name) {
  const char* value = std::getenv(variable);
  if (value == nullptr || *value == '\0') return "";
  const std::string path = name.empty() ? value : absl::StrCat(value, "/", name);
  return std::ifstream(path).good() ? path : "";
}

void ExpectCutsOfFile(const std::string& vocabulary, const std::string& path) {
  const auto file = GgufFile::Open(path);
  ASSERT_TRUE(file.ok()) << file.status();
  const auto tokenizer = Tokenizer::Load(**file);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  ExpectCuts(vocabulary, **tokenizer);
}

TEST(CutsGoldenTest, SmolLM2) {
  const std::string path = FindVocabulary("KEDGE_MODEL", "");
  if (path.empty()) GTEST_SKIP() << "give bazel --test_env=KEDGE_MODEL=<the default model's file>";
  ExpectCutsOfFile("smollm2", path);
}

TEST(CutsGoldenTest, Llama3) {
  const std::string path = FindVocabulary("KEDGE_VOCAB_DIR", "ggml-vocab-llama-bpe.gguf");
  if (path.empty())
    GTEST_SKIP() << "give bazel --test_env=KEDGE_VOCAB_DIR=<models of llama.cpp, in the llama-cpp-python sdist>";
  ExpectCutsOfFile("llama3", path);
}

TEST(CutsGoldenTest, Qwen2) {
  const std::string path = FindVocabulary("KEDGE_VOCAB_DIR", "ggml-vocab-qwen2.gguf");
  if (path.empty())
    GTEST_SKIP() << "give bazel --test_env=KEDGE_VOCAB_DIR=<models of llama.cpp, in the llama-cpp-python sdist>";
  ExpectCutsOfFile("qwen2", path);
}

}  // namespace
}  // namespace kedge
