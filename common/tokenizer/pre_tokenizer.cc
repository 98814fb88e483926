// One PCRE2 pattern per pre-tokenizer, anchored: every position of valid UTF-8 starts a match, so the pieces lie end
// to end. No alternative backtracks more than once (a run of white space gives back its last character), so a text of
// megabytes takes linear time and PCRE2's limits are out of reach; an error would still be a status. That is why runs
// that end with line breaks are written with possessive repeats here: the pieces are those of \s*[\r\n]+.
//
// White space is \p{White_Space} and not \s, because PCRE2's \s also has U+180E, which the vocabularies' own
// pre-tokenizers count as a mark. The classes are those of Unicode 16, whichever PCRE2 has: see new_characters.h.
// Tested by pre_tokenizer_test.cc.
#include "common/tokenizer/pre_tokenizer.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "absl/strings/str_cat.h"
#include "common/tokenizer/new_characters.h"

namespace kedge {
namespace {

struct NamedPattern {
  absl::string_view name;
  absl::string_view pattern;
  bool takes_whole_tokens = false;
  bool adds_bos = false;
};

// "smollm" is the pattern of "gpt-2" applied to what remains when every digit is a piece of its own. In one pattern:
// digits come first, and a run of white space ends at a digit as it does at the end of the text.
constexpr absl::string_view kGpt2 = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+)"
                                    R"(|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+)";
constexpr absl::string_view kSingleDigits = R"(\p{N}|'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?[^\p{White_Space}\p{L}\p{N}]+)"
                                            R"(|\p{White_Space}+(?![^\p{White_Space}\p{N}])|\p{White_Space}+)";

// Llama 3 and Qwen2: contractions in any case; a word takes one sign before it, signs take the line breaks after them;
// digits go by three and one by one.
constexpr absl::string_view kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\p{White_Space}\p{L}\p{N}]+[\r\n]*)"
    R"(|(?:[^\P{White_Space}\r\n]*+[\r\n]++)++|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+)";
constexpr absl::string_view kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\p{White_Space}\p{L}\p{N}]+[\r\n]*)"
    R"(|(?:[^\P{White_Space}\r\n]*+[\r\n]++)++|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+)";

// Qwen 3.5: marks are part of words.
constexpr absl::string_view kQwen35 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\p{White_Space}\p{L}\p{M}\p{N}]+[\r\n]*)"
    R"(|(?:[^\P{White_Space}\r\n]*+[\r\n]++)++|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+)";

// Tekken (Mistral Nemo and later): words also end before an upper case letter that follows a lower case one.
constexpr absl::string_view kTekken =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)"
    R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)"
    R"(|\p{N}| ?[^\p{White_Space}\p{L}\p{N}]+[\r\n/]*)"
    R"(|(?:[^\P{White_Space}\r\n]*+[\r\n]++)++|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+)";

// Names that share a pattern are those of models that took it over.
constexpr NamedPattern kPatterns[] = {
    {"gpt-2", kGpt2},
    {"mpt", kGpt2},
    {"smollm", kSingleDigits},
    {"refact", kSingleDigits},
    {"starcoder", kSingleDigits},
    {"command-r", kSingleDigits},
    {"llama-bpe", kLlama3, /*takes_whole_tokens=*/true, /*adds_bos=*/true},
    {"llama3", kLlama3, /*takes_whole_tokens=*/true, /*adds_bos=*/true},
    {"llama-v3", kLlama3, /*takes_whole_tokens=*/true, /*adds_bos=*/true},
    {"falcon3", kLlama3, /*takes_whole_tokens=*/true, /*adds_bos=*/true},
    {"smaug-bpe", kLlama3},
    {"tekken", kTekken, /*takes_whole_tokens=*/true, /*adds_bos=*/true},
    {"qwen2", kQwen2},
    {"deepseek-r1-qwen", kQwen2},
    {"megrez", kQwen2},
    {"qwen35", kQwen35},
};

std::string ErrorText(int code) {
  PCRE2_UCHAR text[256];
  if (pcre2_get_error_message(code, text, sizeof(text)) < 0) return absl::StrCat("PCRE2 error ", code);
  return absl::StrCat("PCRE2: ", reinterpret_cast<const char*>(text));
}

}  // namespace

absl::StatusOr<std::unique_ptr<const PreTokenizer>> PreTokenizer::Create(absl::string_view name) {
  const NamedPattern* found = nullptr;
  std::string supported;
  for (const NamedPattern& known : kPatterns) {
    if (known.name == name) found = &known;
    absl::StrAppend(&supported, supported.empty() ? "" : ", ", known.name);
  }
  if (found == nullptr) {
    return absl::UnimplementedError(
        absl::StrCat("tokenizer.ggml.pre: '", name, "' is not supported; supported are: ", supported));
  }
  int error = 0;
  PCRE2_SIZE error_offset = 0;
  pcre2_code* code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(found->pattern.data()), found->pattern.size(),
                                   PCRE2_UTF | PCRE2_UCP | PCRE2_ANCHORED, &error, &error_offset, nullptr);
  if (code == nullptr) {
    return absl::InternalError(
        absl::StrCat("pre-tokenizer '", name, "': ", ErrorText(error), " at offset ", error_offset, " of its pattern"));
  }
  // Without a JIT compiler for this machine the interpreter gives the same pieces, only slower.
  (void)pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
  return std::unique_ptr<const PreTokenizer>(new PreTokenizer(code, found->takes_whole_tokens, found->adds_bos));
}

PreTokenizer::~PreTokenizer() { pcre2_code_free(static_cast<pcre2_code*>(pattern_)); }

absl::Status PreTokenizer::Split(absl::string_view text, absl::FunctionRef<void(absl::string_view)> piece) const {
  const auto* pattern = static_cast<const pcre2_code*>(pattern_);
  const std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)> match(
      pcre2_match_data_create_from_pattern(pattern, nullptr), &pcre2_match_data_free);
  if (match == nullptr) return absl::ResourceExhaustedError("pre-tokenizer: no memory");
  std::string older;
  const absl::string_view subject = ReplaceNewCharacters(text, &older) ? absl::string_view(older) : text;
  for (size_t begin = 0; begin < text.size();) {
    // NO_UTF_CHECK: otherwise every call would check all the rest of the text, and the whole would be quadratic.
    const int result = pcre2_match(pattern, reinterpret_cast<PCRE2_SPTR>(subject.data()), subject.size(), begin,
                                   PCRE2_NO_UTF_CHECK, match.get(), nullptr);
    if (result < 0) {
      return absl::InternalError(absl::StrCat("pre-tokenizer: ", ErrorText(result), " at byte ", begin));
    }
    const size_t end = pcre2_get_ovector_pointer(match.get())[1];
    if (end <= begin) return absl::InternalError(absl::StrCat("pre-tokenizer: empty piece at byte ", begin));
    piece(text.substr(begin, end - begin));
    begin = end;
  }
  return absl::OkStatus();
}

}  // namespace kedge
