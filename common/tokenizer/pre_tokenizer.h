// Cuts text into the pieces ("words") inside which BPE merges.
#ifndef KEDGE_COMMON_TOKENIZER_PRE_TOKENIZER_H_
#define KEDGE_COMMON_TOKENIZER_PRE_TOKENIZER_H_

#include <memory>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace kedge {

// Thread-safe (immutable): each Split has its own scratch space.
class PreTokenizer {
 public:
  // `name` is the value of the GGUF's tokenizer.ggml.pre. kUnimplemented lists the supported names.
  static absl::StatusOr<std::unique_ptr<const PreTokenizer>> Create(absl::string_view name);
  ~PreTokenizer();
  PreTokenizer(const PreTokenizer&) = delete;
  PreTokenizer& operator=(const PreTokenizer&) = delete;

  // Whether a piece that is a token of the vocabulary stays whole, even where merges would not make that token.
  bool takes_whole_tokens() const { return takes_whole_tokens_; }
  // Whether its vocabularies put their first token before every prompt although their files often do not say so.
  bool adds_bos() const { return adds_bos_; }

  // Calls `piece` for each piece, in order; together they are `text`. Takes time linear in the text.
  // REQUIRES: text is valid UTF-8.
  absl::Status Split(absl::string_view text, absl::FunctionRef<void(absl::string_view)> piece) const;

 private:
  PreTokenizer(void* pattern, bool takes_whole_tokens, bool adds_bos)
      : pattern_(pattern), takes_whole_tokens_(takes_whole_tokens), adds_bos_(adds_bos) {}
  void* pattern_;  // pcre2_code*, owned; void here so that the width macro of <pcre2.h> stays in the .cc
  bool takes_whole_tokens_;
  bool adds_bos_;
};

}  // namespace kedge

#endif  // KEDGE_COMMON_TOKENIZER_PRE_TOKENIZER_H_
