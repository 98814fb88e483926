// Tested by eval_texts_test.cc.
#include "eval/eval_texts.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "common/base/status.h"
#include "common/tokenizer/anchored_text.h"
#include "common/tokenizer/cut_strength.h"
#include "xxhash.h"

namespace kedge {
namespace {

constexpr uint32_t kGivenTokens = 384;  // of a held-out text, scored after each context
constexpr uint32_t kAnswerTokens = 24;  // for each thing asked
constexpr uint32_t kCasesOfAText = 5;   // of one form (recall_cases.h)

// One document: its beginning as a context of each length, and what follows.
absl::StatusOr<EvalText> MakeContexts(const EvalTextOptions& options, const HeldOutDocument& document,
                                      const Tokenizer& tokenizer) {
  EvalText text{.name = absl::StrCat("text-", document.name), .kind = "documentation"};
  KEDGE_ASSIGN_OR_RETURN(const std::vector<uint32_t> ids, EncodePrompt(tokenizer, document.text));
  for (uint32_t length : options.lengths) {
    const size_t end = size_t{length} + kGivenTokens;
    if (ids.size() < end || options.context_length < end) continue;
    Continuation continuation{.prompt = {ids.begin(), ids.begin() + length},
                              .given = {ids.begin() + length, ids.begin() + end}};
    continuation.cuts = FindCutStrengths(tokenizer, {.ids = continuation.prompt});
    text.cases.push_back(
        {.form = kTextForm, .length = length, .continuation = std::move(continuation), .fork = length - 1});
  }
  return text;
}

class RecallTexts {
 public:
  RecallTexts(const EvalTextOptions& options, const Tokenizer& tokenizer, const ChatTemplate* chat,
              absl::Span<const std::string> filler, std::vector<EvalText>* texts)
      : options_(options), tokenizer_(tokenizer), chat_(chat), filler_(filler), texts_(texts) {}

  absl::Status AddOfLength(uint32_t length) {
    for (uint32_t i = 0; i * kCasesOfAText < options_.cases; ++i) {
      const uint32_t most = options_.cases - i * kCasesOfAText;
      KEDGE_RETURN_IF_ERROR(Add("separate", length, i, MakeSeparateFacts(Recall(length, i)), most));
      KEDGE_RETURN_IF_ERROR(Add("crowded", length, i, MakeCrowdedFacts(Recall(length, i)), most));
    }
    // About as many rows at each length, but not less than half the cases.
    const uint64_t equal_rows = (uint64_t{options_.cases} * 1000 + length - 1) / length;
    const uint64_t alone = std::max<uint64_t>(equal_rows, (options_.cases + 1) / 2);
    for (uint32_t i = 0; i < alone; ++i) {
      KEDGE_RETURN_IF_ERROR(Add("question-first", length, i, MakeQuestionFirst(Recall(length, i)), 1));
    }
    return absl::OkStatus();
  }

 private:
  RecallOptions Recall(uint32_t length, uint32_t index) const {
    return {.family = RecallFamily::kEvaluation,
            .seed = uint64_t{length} * 1000 + index,
            .tokens = length,
            .count_tokens = [this](absl::string_view text) { return CountTokens(tokenizer_, text); },
            .plain = chat_ == nullptr,
            .filler = filler_};
  }

  // At most `most` cases of each form.
  absl::Status Add(absl::string_view kind, uint32_t length, uint32_t index, const RecallText& recall, uint32_t most) {
    EvalText text{.name = absl::StrCat(kind, "-", length, "-", index), .kind = "prose"};
    uint32_t of_form = 0;
    size_t shared = SIZE_MAX;  // ids that all prompts begin with; the last of each is its own
    for (size_t i = 0; i < recall.size(); ++i) {
      of_form = i > 0 && recall[i].form == recall[i - 1].form ? of_form + 1 : 0;
      if (of_form >= most) continue;
      EvalCase made{.form = RecallFormName(recall[i].form), .length = length, .answers = recall[i].answers};
      made.expected = absl::StrJoin(made.answers, " and ");
      Continuation& continuation = made.continuation;
      KEDGE_ASSIGN_OR_RETURN(continuation, EncodeMessage(recall[i].message, tokenizer_, chat_));
      continuation.max_new = kAnswerTokens * static_cast<uint32_t>(recall[i].answers.size());
      if (continuation.prompt.size() + continuation.max_new > options_.context_length) continue;
      text.cases.push_back(std::move(made));
      const std::vector<uint32_t>& first = text.cases.front().continuation.prompt;
      const std::vector<uint32_t>& ids = text.cases.back().continuation.prompt;
      shared = std::min({shared, ids.size() - 1, first.size()});
      shared = std::mismatch(ids.begin(), ids.begin() + shared, first.begin()).first - ids.begin();
    }
    for (EvalCase& made : text.cases) made.fork = static_cast<uint32_t>(shared);
    if (!text.cases.empty()) texts_->push_back(std::move(text));
    return absl::OkStatus();
  }

  const EvalTextOptions& options_;
  const Tokenizer& tokenizer_;
  const ChatTemplate* chat_;
  absl::Span<const std::string> filler_;
  std::vector<EvalText>* texts_;
};

}  // namespace

Content EvalText::Prefix(const Policy& policy) const {
  const EvalCase& last = cases.back();
  const Continuation& continuation = last.continuation;
  Content content{.ids = {continuation.prompt.begin(), continuation.prompt.begin() + last.fork},
                  .prompt_length = last.fork + 1};  // it goes on
  SetRows(continuation, policy, &content);
  return content;
}

size_t CountTokens(const Tokenizer& tokenizer, absl::string_view text) {
  const absl::StatusOr<std::vector<uint32_t>> ids = tokenizer.Encode(text);
  return ids.ok() ? ids->size() : 0;
}

std::vector<std::string> FillerOf(absl::Span<const HeldOutDocument> documents) {
  std::vector<std::string> filler;
  for (const HeldOutDocument& document : documents) {
    for (std::string& sentence : FillerSentences(document.text)) filler.push_back(std::move(sentence));
  }
  return filler;
}

absl::StatusOr<Continuation> EncodeMessage(const std::string& message, const Tokenizer& tokenizer,
                                           const ChatTemplate* chat) {
  PromptTokens prompt;
  if (chat == nullptr) {
    KEDGE_ASSIGN_OR_RETURN(prompt.ids, EncodePrompt(tokenizer, message));
  } else {
    const Conversation conversation{.messages = {{.role = "user", .content = message}}};
    KEDGE_ASSIGN_OR_RETURN(prompt, chat->Apply(conversation));
  }
  return Continuation{.prompt = prompt.ids,
                      .no_anchor_positions = PositionsOf(prompt.no_anchor),
                      .cuts = FindCutStrengths(tokenizer, prompt),
                      .turn_begin = prompt.turn_begin,
                      .user = std::move(prompt.user),
                      .system = std::move(prompt.system)};
}

absl::StatusOr<std::vector<EvalText>> MakeEvalTexts(const EvalTextOptions& options,
                                                    absl::Span<const HeldOutDocument> documents,
                                                    const Tokenizer& tokenizer, const ChatTemplate* chat) {
  std::vector<EvalText> texts;
  for (const HeldOutDocument& document : documents) {
    KEDGE_ASSIGN_OR_RETURN(EvalText contexts, MakeContexts(options, document, tokenizer));
    if (!contexts.cases.empty()) texts.push_back(std::move(contexts));
  }
  const std::vector<std::string> filler = FillerOf(documents);
  if (filler.empty()) return absl::InvalidArgumentError("text: it has no sentence to fill prompts with");
  RecallTexts recall(options, tokenizer, chat, filler, &texts);
  for (uint32_t length : options.lengths) KEDGE_RETURN_IF_ERROR(recall.AddOfLength(length));
  if (texts.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("lengths: no prompt fits the model's context of ", options.context_length, " tokens"));
  }
  return texts;
}

std::string HashOfTexts(absl::Span<const EvalText> texts) {
  uint64_t hash = 0;
  auto add = [&](const void* data, size_t bytes) { hash = XXH3_64bits_withSeed(data, bytes, hash); };
  for (const EvalText& text : texts) {
    add(text.name.data(), text.name.size());
    for (const EvalCase& made : text.cases) {
      for (const std::vector<uint32_t>* ids : {&made.continuation.prompt, &made.continuation.given}) {
        add(ids->data(), ids->size() * sizeof(uint32_t));
      }
      for (const std::string& answer : made.answers) add(answer.data(), answer.size());
      add(made.expected.data(), made.expected.size());
    }
  }
  return absl::StrFormat("%016x", hash);
}

}  // namespace kedge
