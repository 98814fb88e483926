// Small vocabularies for tests, as GGUF files in memory.
#ifndef KEDGE_COMMON_TOKENIZER_TEST_VOCABULARY_H_
#define KEDGE_COMMON_TOKENIZER_TEST_VOCABULARY_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/model/gguf.h"
#include "common/tokenizer/tokenizer.h"

namespace kedge {

// What the file says. A member that is empty is a key that the file does not have.
struct TestVocabulary {
  std::string model = "gpt2";
  std::string pre = "gpt-2";
  std::vector<std::string> tokens;  // as a GGUF spells them
  std::vector<int32_t> types;
  std::vector<float> scores;  // SentencePiece has them, byte-level BPE has merges
  std::vector<std::string> merges;
  std::optional<uint32_t> bos;
  std::optional<uint32_t> eos;
  std::optional<uint32_t> eot;
  std::optional<uint32_t> eom;
  std::vector<int32_t> eos_ids;
  std::optional<uint32_t> unknown;
  std::optional<bool> add_bos;
  std::optional<bool> add_space;
  std::optional<bool> remove_spaces;
  std::string chat_template;
  std::string tool_template;  // tokenizer.chat_template.tool_use

  // Appends a token and returns its id. `type`: 1 ordinary, 3 control, 4 user-defined.
  uint32_t Add(const std::string& spelling, int32_t type = 1);
  // Appends a merge and the token that it makes, and returns that token's id.
  uint32_t AddMerge(const std::string& left, const std::string& right);
};

// Ids 0 to 255: one token per byte, where the id is the byte.
TestVocabulary ByteVocabulary();

// SentencePiece: 0 <unk>, 1 <s>, 2 </s>, from 3 on the 256 byte tokens, from 259 on `pieces` ("_" stands for U+2581),
// whose scores fall from -1 on.
TestVocabulary SentencePieceVocabulary(const std::vector<std::string>& pieces);

// A parsed file with the bytes it views.
struct TestFile {
  std::unique_ptr<const std::string> bytes;
  std::shared_ptr<const GgufFile> gguf;
};

TestFile MakeTestFile(const TestVocabulary& vocabulary);
absl::StatusOr<std::unique_ptr<const Tokenizer>> LoadTokenizer(const TestVocabulary& vocabulary);
// REQUIRES: the vocabulary is good.
std::unique_ptr<const Tokenizer> MakeTokenizer(const TestVocabulary& vocabulary);

}  // namespace kedge

#endif  // KEDGE_COMMON_TOKENIZER_TEST_VOCABULARY_H_
