// Tested by eval_texts_test.cc.
#include "eval/eval_texts.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/status.h"
#include "common/tokenizer/anchored_text.h"
#include "common/tokenizer/cut_strength.h"
#include "eval/forms/text_kinds.h"
#include "eval/prompt_text.h"
#include "xxhash.h"

namespace kedge {
namespace {

constexpr uint32_t kGivenTokens = 128;  // of a held-out text, scored after its context
constexpr uint32_t kAnswerTokens = 24;  // for each thing asked

// The document's beginning as a context of one length, or of each where it is somebody's own, and what follows.
// `number`: of the document, whose lengths take turns.
absl::StatusOr<EvalText> MakeContexts(const EvalTextOptions& options, const HeldOutDocument& document, size_t number,
                                      const Tokenizer& tokenizer) {
  const bool is_own = document.kind.empty();
  EvalText text{
      .name = is_own ? absl::StrCat("text-", document.name) : absl::StrCat("text-", document.kind, "-", document.name),
      .kind = is_own ? kTextForm : std::string(document.kind)};
  KEDGE_ASSIGN_OR_RETURN(const std::vector<uint32_t> ids, EncodePrompt(tokenizer, document.text));
  const size_t most = std::min<size_t>(ids.size(), options.context_length);
  std::vector<uint32_t> lengths;  // that there are tokens for
  for (uint32_t length : options.lengths) {
    if (size_t{length} + kGivenTokens <= most) lengths.push_back(length);
  }
  if (!is_own && !lengths.empty()) {
    lengths = {lengths[lengths.size() - 1 - number % std::min<size_t>(2, lengths.size())]};
  }
  for (uint32_t length : lengths) {
    Continuation continuation{.prompt = {ids.begin(), ids.begin() + length},
                              .given = {ids.begin() + length, ids.begin() + length + kGivenTokens}};
    continuation.cuts = FindCutStrengths(tokenizer, {.ids = continuation.prompt});
    text.cases.push_back(
        {.form = kTextForm, .length = length, .continuation = std::move(continuation), .fork = length - 1});
  }
  return text;
}

class QuestionTexts {
 public:
  QuestionTexts(const EvalTextOptions& options, const Tokenizer& tokenizer, const ChatTemplate* chat,
                absl::Span<const std::string> filler, std::vector<EvalText>* texts)
      : options_(options), tokenizer_(tokenizer), chat_(chat), filler_(filler), texts_(texts) {}

  absl::Status Add(const TextKind& kind, uint32_t length) {
    if (kind.is_chat && chat_ == nullptr) return absl::OkStatus();
    const uint32_t cases = CasesOf(options_.cases, length, kind.is_alone);
    for (uint32_t index = 0, asked = 0; asked < cases; ++index) {
      const uint32_t of_a_form = std::min(kind.of_a_form, cases - asked);
      asked += of_a_form;
      KEDGE_RETURN_IF_ERROR(AddText(kind, length, index, of_a_form));
    }
    return absl::OkStatus();
  }

 private:
  absl::Status AddText(const TextKind& kind, uint32_t length, uint32_t index, uint32_t of_a_form) {
    EvalText text{.name = absl::StrCat(kind.name, "-", length, "-", index), .kind = kind.name};
    const TextOptions made_of{.seed = XXH3_64bits(text.name.data(), text.name.size()),
                              .tokens = length,
                              .count_tokens = [this](absl::string_view some) { return CountTokens(tokenizer_, some); },
                              .plain = chat_ == nullptr,
                              .filler = filler_};
    const std::vector<Question> questions = kind.make(made_of);
    for (const std::string& form : kind.forms) {
      uint32_t left = of_a_form;
      for (const Question& question : questions) {
        if (question.form != form || left == 0) continue;
        --left;
        KEDGE_RETURN_IF_ERROR(AddCase(question, length, &text));
      }
    }
    if (text.cases.empty()) return absl::OkStatus();
    // Ids that all prompts begin with; the last of each is its own.
    const std::vector<uint32_t>& first = text.cases[0].continuation.prompt;
    size_t shared = first.size() - 1;
    for (const EvalCase& made : text.cases) {
      const std::vector<uint32_t>& ids = made.continuation.prompt;
      shared = std::min(shared, ids.size() - 1);
      shared = std::mismatch(ids.begin(), ids.begin() + shared, first.begin()).first - ids.begin();
    }
    for (EvalCase& made : text.cases) made.fork = static_cast<uint32_t>(shared);
    texts_->push_back(std::move(text));
    return absl::OkStatus();
  }

  absl::Status AddCase(const Question& question, uint32_t length, EvalText* text) {
    KEDGE_ASSIGN_OR_RETURN(EncodedQuestion encoded, EncodeQuestion(question, tokenizer_, chat_));
    EvalCase made{.form = question.form,
                  .length = length,
                  .continuation = std::move(encoded.continuation),
                  .check = question.check,
                  // A plain text goes on behind a word.
                  .expected = absl::StrCat(chat_ == nullptr ? " " : "", question.expected),
                  .evidence = std::move(encoded.evidence)};
    const size_t ideal = CountTokens(tokenizer_, made.expected);
    made.continuation.max_new = static_cast<uint32_t>(
        std::max<size_t>(kAnswerTokens * question.check.answers.size(), ideal + kAnswerTokens / 2));
    if (made.continuation.prompt.size() + made.continuation.max_new > options_.context_length) return absl::OkStatus();
    text->cases.push_back(std::move(made));
    return absl::OkStatus();
  }

  const EvalTextOptions& options_;
  const Tokenizer& tokenizer_;
  const ChatTemplate* chat_;
  absl::Span<const std::string> filler_;
  std::vector<EvalText>* texts_;
};

}  // namespace

uint32_t CasesOf(uint32_t cases, uint32_t length, bool is_alone) {
  if (is_alone) return length > 1000 ? 0 : (CasesOf(cases, length, false) + 1) / 2;
  if (length <= 500) return (3 * cases + 1) / 2;
  if (length <= 1000) return cases;
  return std::max(1u, (length <= 2000 ? 2 : 1) * cases / 5);
}

Content EvalText::Prefix(const Policy& policy) const {
  const EvalCase& last = cases.back();
  const Continuation& continuation = last.continuation;
  Content content{.ids = {continuation.prompt.begin(), continuation.prompt.begin() + last.fork},
                  .prompt_length = last.fork + 1};  // it goes on
  SetRows(continuation, policy, &content);
  return content;
}

absl::StatusOr<std::vector<EvalText>> MakeEvalTexts(const EvalTextOptions& options,
                                                    absl::Span<const HeldOutDocument> documents,
                                                    const Tokenizer& tokenizer, const ChatTemplate* chat) {
  std::vector<EvalText> texts;
  for (size_t i = 0; i < documents.size(); ++i) {
    KEDGE_ASSIGN_OR_RETURN(EvalText text, MakeContexts(options, documents[i], i, tokenizer));
    if (!text.cases.empty()) texts.push_back(std::move(text));
  }
  const std::vector<std::string> filler = FillerOf(documents);
  if (filler.empty()) return absl::InvalidArgumentError("text: it has no sentence to fill prompts with");
  QuestionTexts questions(options, tokenizer, chat, filler, &texts);
  for (uint32_t length : options.lengths) {
    for (const TextKind& kind : TextKinds()) KEDGE_RETURN_IF_ERROR(questions.Add(kind, length));
  }
  if (texts.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("lengths: no prompt fits the model's context of ", options.context_length, " tokens"));
  }
  return texts;
}

std::string HashOfTexts(absl::Span<const EvalText> texts) {
  uint64_t hash = 0;
  auto add = [&](const void* data, size_t bytes) { hash = XXH3_64bits_withSeed(data, bytes, hash); };
  // With its length: where one text ends and the next begins is part of it.
  auto add_text = [&](const std::string& text) {
    const uint64_t size = text.size();
    add(&size, sizeof(size));
    add(text.data(), text.size());
  };
  auto add_ids = [&](const std::vector<uint32_t>& ids) {
    const uint64_t size = ids.size();
    add(&size, sizeof(size));
    add(ids.data(), ids.size() * sizeof(uint32_t));
  };
  for (const EvalText& text : texts) {
    add_text(text.name);
    add_text(text.kind);
    for (const EvalCase& made : text.cases) {
      const Continuation& continuation = made.continuation;
      add_text(made.form);
      add_ids(continuation.prompt);
      add_ids(continuation.no_anchor_positions);
      add_ids(continuation.given);
      add(continuation.cuts.data(), continuation.cuts.size() * sizeof(continuation.cuts[0]));
      add_ids({made.length, made.fork, continuation.turn_begin, continuation.max_new, made.check.json});
      for (const auto* words : {&made.check.answers, &made.check.forbidden}) {
        add_ids({static_cast<uint32_t>(words->size())});
        for (const std::string& word : *words) add_text(word);
      }
      add_text(made.check.last_word);
      add_text(made.expected);
      for (const PositionRange& range : made.evidence) add_ids({range.begin, range.end});
    }
  }
  return absl::StrFormat("%016x", hash);
}

}  // namespace kedge
