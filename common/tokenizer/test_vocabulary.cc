// Writes the metadata of a vocabulary and reads them back through the real parser. The byte alphabet is made here a
// second time, so that it checks the one in byte_level.cc.
// Tested by tokenizer_test.cc.
#include "common/tokenizer/test_vocabulary.h"

#include <utility>

#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "common/base/check.h"
#include "common/testing/gguf_writer.h"

namespace kedge {

uint32_t TestVocabulary::Add(const std::string& spelling, int32_t type) {
  tokens.push_back(spelling);
  types.push_back(type);
  return static_cast<uint32_t>(tokens.size() - 1);
}

uint32_t TestVocabulary::AddMerge(const std::string& left, const std::string& right) {
  merges.push_back(left + " " + right);
  return Add(left + right);
}

TestVocabulary ByteVocabulary() {
  TestVocabulary vocabulary;
  int next = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    const bool moved = byte <= 0x20 || (byte >= 0x7F && byte <= 0xA0) || byte == 0xAD;
    const int code_point = moved ? next++ : byte;
    std::string spelling;
    if (code_point < 0x80) {
      spelling.push_back(static_cast<char>(code_point));
    } else {
      spelling.push_back(static_cast<char>(0xC0 | code_point >> 6));
      spelling.push_back(static_cast<char>(0x80 | (code_point & 0x3F)));
    }
    vocabulary.Add(spelling);
  }
  return vocabulary;
}

TestVocabulary SentencePieceVocabulary(const std::vector<std::string>& pieces) {
  TestVocabulary vocabulary;
  vocabulary.model = "llama";
  vocabulary.pre = "default";
  vocabulary.unknown = vocabulary.Add("<unk>", 2);
  vocabulary.bos = vocabulary.Add("<s>", 3);
  vocabulary.eos = vocabulary.Add("</s>", 3);
  for (int byte = 0; byte < 256; ++byte) vocabulary.Add(absl::StrFormat("<0x%02X>", byte), 6);
  vocabulary.scores.resize(vocabulary.tokens.size(), 0.0f);
  for (const std::string& piece : pieces) {
    vocabulary.Add(absl::StrReplaceAll(piece, {{"_", "\u2581"}}));
    vocabulary.scores.push_back(258.0f - static_cast<float>(vocabulary.scores.size()));
  }
  return vocabulary;
}

TestFile MakeTestFile(const TestVocabulary& vocabulary) {
  GgufWriter writer;
  if (!vocabulary.model.empty()) writer.SetString("tokenizer.ggml.model", vocabulary.model);
  if (!vocabulary.pre.empty()) writer.SetString("tokenizer.ggml.pre", vocabulary.pre);
  if (!vocabulary.tokens.empty()) writer.SetStrings("tokenizer.ggml.tokens", vocabulary.tokens);
  if (!vocabulary.types.empty()) writer.SetInt32s("tokenizer.ggml.token_type", vocabulary.types);
  if (!vocabulary.scores.empty()) {
    writer.SetFloat32s("tokenizer.ggml.scores", vocabulary.scores);
  } else {
    writer.SetStrings("tokenizer.ggml.merges", vocabulary.merges);
  }
  if (vocabulary.bos) writer.SetUint32("tokenizer.ggml.bos_token_id", *vocabulary.bos);
  if (vocabulary.eos) writer.SetUint32("tokenizer.ggml.eos_token_id", *vocabulary.eos);
  if (vocabulary.eot) writer.SetUint32("tokenizer.ggml.eot_token_id", *vocabulary.eot);
  if (vocabulary.eom) writer.SetUint32("tokenizer.ggml.eom_token_id", *vocabulary.eom);
  if (!vocabulary.eos_ids.empty()) writer.SetInt32s("tokenizer.ggml.eos_token_ids", vocabulary.eos_ids);
  if (vocabulary.unknown) writer.SetUint32("tokenizer.ggml.unknown_token_id", *vocabulary.unknown);
  if (vocabulary.add_space) writer.SetBool("tokenizer.ggml.add_space_prefix", *vocabulary.add_space);
  if (vocabulary.remove_spaces) writer.SetBool("tokenizer.ggml.remove_extra_whitespaces", *vocabulary.remove_spaces);
  if (vocabulary.add_bos) writer.SetBool("tokenizer.ggml.add_bos_token", *vocabulary.add_bos);
  if (!vocabulary.chat_template.empty()) writer.SetString("tokenizer.chat_template", vocabulary.chat_template);
  if (!vocabulary.tool_template.empty()) {
    writer.SetString("tokenizer.chat_template.tool_use", vocabulary.tool_template);
  }

  TestFile file;
  file.bytes = std::make_unique<const std::string>(writer.Finish());
  auto gguf = GgufFile::Parse(
      absl::MakeConstSpan(reinterpret_cast<const uint8_t*>(file.bytes->data()), file.bytes->size()), "test.gguf");
  KEDGE_CHECK(gguf.ok());
  file.gguf = *std::move(gguf);
  return file;
}

absl::StatusOr<std::unique_ptr<const Tokenizer>> LoadTokenizer(const TestVocabulary& vocabulary) {
  return Tokenizer::Load(*MakeTestFile(vocabulary).gguf);
}

std::unique_ptr<const Tokenizer> MakeTokenizer(const TestVocabulary& vocabulary) {
  auto tokenizer = LoadTokenizer(vocabulary);
  KEDGE_CHECK(tokenizer.ok());
  return *std::move(tokenizer);
}

}  // namespace kedge
