// Sequences are found by bytes: where a fact stands in the message, the message in what the tokens spell, and the
// tokens in the prompt's outline.
//
// Tested by calibration_prompts_test.cc.
#include "eval/calibration_prompts.h"

#include <algorithm>
#include <iterator>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/anchor/outline.h"
#include "common/anchor/salience.h"
#include "common/base/status.h"
#include "common/tokenizer/prompt_tokens.h"
#include "eval/forms/random.h"
#include "eval/forms/recall.h"
#include "eval/prompt_text.h"

namespace kedge {
namespace {

constexpr uint32_t kQuestionRows = 128;  // the last, in which the question is looked for

class PromptMaker {
 public:
  PromptMaker(const CalibrationOptions& options, const Tokenizer& tokenizer)
      : options_(options), tokenizer_(tokenizer) {}

  absl::StatusOr<CalibrationPrompt> Make(const Question& recall, const ChatTemplate* chat) const {
    CalibrationPrompt prompt{.form = absl::StrCat(chat == nullptr ? "plain-" : "", recall.form)};
    const std::string& said = *recall.chat.messages[0].content;
    KEDGE_ASSIGN_OR_RETURN(const Continuation continuation, EncodeMessage(said, tokenizer_, chat));
    Content content{.ids = continuation.prompt, .prompt_length = static_cast<uint32_t>(continuation.prompt.size())};
    SetRows(continuation, options_.policy, &content);

    std::string text;
    std::vector<TextToken> tokens;
    for (uint32_t id : content.ids) {
      tokens.push_back({id, text.size()});
      absl::StrAppend(&text, tokenizer_.TokenBytes(id));
    }
    const size_t message = text.find(said);
    if (message == std::string::npos) return absl::InternalError("tokenizer: its tokens do not spell a prompt's text");

    const PromptOutline outline = OutlinePrompt(content);
    prompt.sequences = outline.sequences;
    const auto sequences_of = [&](const ByteRange& range) {
      const PositionRange part = TokensOfBytes(tokens, text.size(), message + range.begin, message + range.end);
      std::vector<size_t> found;
      for (size_t i = 0; i < outline.sequences.size(); ++i) {
        if (outline.sequences[i].begin < part.end && part.begin < outline.sequences[i].end) found.push_back(i);
      }
      return found;
    };
    KnownSequences& known = prompt.known;
    known.count = outline.sequences.size();
    known.last_may_ask = chat == nullptr;
    known.question = sequences_of(recall.asked.bytes);
    std::vector<size_t> facts;
    for (const Passage& fact : recall.evidence) {
      for (size_t sequence : sequences_of(fact.bytes)) facts.push_back(sequence);
    }
    for (size_t i = 0; i < known.count; ++i) {
      // What the policy keeps in any case is not chosen, and a first sequence would win by what all heads leave there.
      const PositionRange& sequence = outline.sequences[i];
      if (sequence.begin < options_.policy.sinks || sequence.end > outline.window_begin) continue;
      if (std::count(known.question.begin(), known.question.end(), i) > 0) continue;
      (std::count(facts.begin(), facts.end(), i) > 0 ? known.facts : known.rivals).push_back(i);
    }
    prompt.ids = std::move(content.ids);
    return prompt;
  }

 private:
  const CalibrationOptions& options_;
  const Tokenizer& tokenizer_;
};

// The heads that come with Kedge were found on the prompts of these seeds.
uint64_t SeedOf(uint32_t round, uint32_t text) { return ~Random(round * uint64_t{8} + text).Next(); }

// Where the prompts stop being equal, or the first row that is looked at.
uint32_t ForkOf(absl::Span<const CalibrationPrompt> prompts) {
  const std::vector<uint32_t>& first = prompts[0].ids;
  size_t fork = first.size();
  for (const CalibrationPrompt& prompt : prompts) {
    fork = std::min(fork, prompt.ids.size());
    fork = std::mismatch(first.begin(), first.begin() + fork, prompt.ids.begin()).first - first.begin();
    for (const std::vector<uint32_t>& rows : {prompt.QuestionRows(), prompt.EndRows()}) {
      if (!rows.empty()) fork = std::min<size_t>(fork, rows.front());
    }
  }
  return static_cast<uint32_t>(fork);
}

}  // namespace

std::vector<uint32_t> CalibrationPrompt::QuestionRows() const {
  const uint32_t end = static_cast<uint32_t>(ids.size()) - 1;
  std::vector<uint32_t> rows;
  for (size_t sequence : known.question) {
    const PositionRange& range = sequences[sequence];
    for (uint32_t row = std::max(range.begin, end - std::min(end, kQuestionRows)); row < range.end; ++row) {
      rows.push_back(row);
    }
  }
  return rows;
}

std::vector<uint32_t> CalibrationPrompt::EndRows() const {
  const uint32_t end = static_cast<uint32_t>(ids.size()) - 1;
  std::vector<uint32_t> rows(std::min(end, Salience::kPointerRows));
  std::iota(rows.begin(), rows.end(), end - static_cast<uint32_t>(rows.size()));
  return rows;
}

absl::StatusOr<std::vector<CalibrationText>> MakeCalibrationTexts(const CalibrationOptions& options,
                                                                  absl::Span<const std::string> filler,
                                                                  const Tokenizer& tokenizer,
                                                                  const ChatTemplate* chat) {
  const PromptMaker maker(options, tokenizer);
  std::vector<CalibrationText> texts;
  const auto add = [&](const std::vector<Question>& cases, const ChatTemplate* kind) -> absl::Status {
    CalibrationText text;
    for (const Question& made : cases) {
      KEDGE_ASSIGN_OR_RETURN(CalibrationPrompt prompt, maker.Make(made, kind));
      if (prompt.ids.size() <= options.context_length) text.prompts.push_back(std::move(prompt));
    }
    if (text.prompts.empty()) return absl::OkStatus();
    text.fork = ForkOf(text.prompts);
    texts.push_back(std::move(text));
    return absl::OkStatus();
  };
  std::vector<const ChatTemplate*> kinds = {nullptr};  // plain texts
  if (chat != nullptr) kinds.insert(kinds.begin(), chat);
  for (const ChatTemplate* kind : kinds) {
    for (uint32_t round = 0; round < options.rounds; ++round) {
      TextOptions made_of{// Room for the template, and for a sentence that ends late.
                          .tokens = std::min(options.tokens, options.context_length / 4 * 3),
                          .count_tokens = [&](absl::string_view text) { return CountTokens(tokenizer, text); },
                          .plain = kind == nullptr,
                          .filler = filler};
      const RecallTemplates& templates = TemplatesOf(RecallFamily::kCalibration);
      made_of.seed = SeedOf(round, 1);
      KEDGE_RETURN_IF_ERROR(add(MakeSeparateFacts(templates, made_of), kind));
      made_of.seed = SeedOf(round, 2);
      KEDGE_RETURN_IF_ERROR(add(MakeCrowdedFacts(templates, made_of), kind));
    }
  }
  if (texts.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("calibration: no prompt fits the model's context of ", options.context_length, " tokens"));
  }
  return texts;
}

}  // namespace kedge
