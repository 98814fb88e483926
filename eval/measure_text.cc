// Tested by run_eval_test.cc.
#include "eval/measure_text.h"

#include <algorithm>
#include <map>
#include <memory>
#include <utility>

#include "common/anchor/tracker.h"
#include "common/base/status.h"
#include "common/kv/page_pool.h"
#include "eval/agreement.h"
#include "eval/answers.h"
#include "eval/computed_prompt.h"
#include "eval/continuation.h"
#include "eval/prefix.h"

namespace kedge {
namespace {

std::vector<uint32_t> GivenIds(const EvalCase& made, const MeasureOptions& options) {
  if (!made.continuation.given.empty() || made.expected.empty()) return made.continuation.given;
  return options.ids_of(made.expected);
}

// Where each case goes on under the policy, ascending: cases of one fork stay together.
std::vector<uint32_t> Forks(const EvalText& text, const Policy& policy) {
  std::vector<uint32_t> forks;
  for (const EvalCase& made : text.cases) {
    uint32_t fork = made.fork;
    for (const EvalCase& other : text.cases) {
      if (other.fork != made.fork) continue;
      fork = std::min(fork, LatestFork(policy, static_cast<uint32_t>(other.continuation.prompt.size())));
    }
    forks.push_back(fork);
  }
  return forks;
}

using PromptScores = std::map<std::pair<bool, uint32_t>, HeadScores>;

class TextMeasurement {
 public:
  TextMeasurement(const EvalText& text, absl::Span<const EvalPolicy* const> policies, const MeasureOptions& options,
                  StepDevice* device, TextReference* reference)
      : text_(text),
        policies_(policies),
        options_(options),
        device_(device),
        makes_reference_(reference->references.empty()),
        reference_(*reference),
        pool_(device->num_pages()),
        outcomes_(policies.size(), std::vector<Outcome>(text.cases.size())) {
    for (const EvalPolicy* policy : policies) kept_under_.push_back(policy->policy);
    if (!makes_reference_) return;
    reference_.references.resize(text.cases.size());
    reference_.outcomes.resize(text.cases.size());
  }

  absl::StatusOr<std::vector<std::vector<Outcome>>> Run() {
    const Policy& computing = ComputingPolicy(kept_under_);
    const std::vector<uint32_t> forks = Forks(text_, computing);
    std::vector<uint32_t> ends = forks;
    ends.erase(std::unique(ends.begin(), ends.end()), ends.end());
    KEDGE_ASSIGN_OR_RETURN(const std::vector<PrefixState> states,
                           ComputePrefix(text_.Prefix(computing), ends, options_.heads, device_));
    for (size_t first = 0; first < text_.cases.size();) {
      const auto state = std::find_if(states.begin(), states.end(),
                                      [&](const PrefixState& other) { return other.end == forks[first]; });
      std::vector<const Continuation*> continuations;
      for (size_t i = first; i < forks.size() && forks[i] == forks[first]; ++i) {
        continuations.push_back(&text_.cases[i].continuation);
      }
      KEDGE_ASSIGN_OR_RETURN(const std::vector<ComputedPrompt> prompts,
                             ComputePrompts(*state, continuations, kept_under_, options_.heads, &pool_, device_));
      if (makes_reference_) KEDGE_RETURN_IF_ERROR(MakeReference(first, prompts));
      KEDGE_RETURN_IF_ERROR(Answer(first, *state, prompts));
      first += prompts.size();
    }
    return std::move(outcomes_);
  }

 private:
  // Of the cases from `first` on.
  absl::Status MakeReference(size_t first, absl::Span<const ComputedPrompt> prompts) {
    std::vector<AnswerJob> jobs;
    for (size_t i = 0; i < prompts.size(); ++i) {
      const EvalCase& made = text_.cases[first + i];
      AddJobs(made, prompts[i], {.content = PromptContent(made.continuation, kFullAttention)}, /*is_reference=*/true,
              &reference_.references[first + i], &reference_.outcomes[first + i], &jobs);
    }
    return RunAnswers(jobs, options_.end_ids, options_.batch, device_);
  }

  absl::Status Answer(size_t first, const PrefixState& state, absl::Span<const ComputedPrompt> prompts) {
    std::vector<AnswerJob> jobs;
    for (size_t i = 0; i < prompts.size(); ++i) {
      const EvalCase& made = text_.cases[first + i];
      PromptScores scores;
      for (size_t p = 0; p < policies_.size(); ++p) {
        const EvalPolicy& policy = *policies_[p];
        Outcome& outcome = outcomes_[p][first + i];
        if (policy.policy == kFullAttention && policy.bits == 0) {
          outcome = reference_.outcomes[first + i];
          continue;
        }
        Content content = prompts[i].contents[p];
        if (content.salient.has_value()) {
          content.salient =
              ChooseRows(policy.rows, content, {.evidence = made.evidence, .own_begin = made.fork}, options_.text_of);
        }
        Following kept{.content = std::move(content), .bits = policy.bits};
        KEDGE_ASSIGN_OR_RETURN(kept.head_rows, HeadRowsOf(policy.rows, state, prompts[i], kept.content, &scores));
        AddJobs(made, prompts[i], kept, /*is_reference=*/false, &reference_.references[first + i], &outcome, &jobs);
      }
    }
    return RunAnswers(jobs, options_.end_ids, options_.batch, device_);
  }

  // Null where all heads keep the same rows. `scores`: of the prompt, by whether they come of its repetition and where
  // its latest rows begin.
  absl::StatusOr<std::shared_ptr<const HeadRows>> HeadRowsOf(RowChoice rows, const PrefixState& state,
                                                             const ComputedPrompt& prompt, const Content& content,
                                                             PromptScores* scores) {
    if (!HasHeadRows(rows)) return nullptr;
    AnchorTracker tracker(&content);
    tracker.AdvanceTo(content.prompt_length - 1);
    const StateShape shape = tracker.State();
    if (shape.kept.empty()) return nullptr;
    const auto [found, is_new] = scores->try_emplace({rows == RowChoice::kKvZip, shape.recent_begin});
    HeadScores& own = found->second;
    if (is_new) {
      KEDGE_ASSIGN_OR_RETURN(own, ScoresOf(rows, state, prompt, shape.recent_begin));
    }
    const uint32_t count = static_cast<uint32_t>(shape.kept.size());
    return std::make_shared<const HeadRows>(rows == RowChoice::kChunkKv
                                                ? ChooseChunks(own, device_->row_shape().kv_heads, count)
                                                : ChooseByHead(own, count));
  }

  absl::StatusOr<HeadScores> ScoresOf(RowChoice rows, const PrefixState& state, const ComputedPrompt& prompt,
                                      uint32_t recent_begin) {
    if (rows == RowChoice::kKvZip) {
      const auto [found, is_new] = repetitions_.try_emplace(state.end);
      if (is_new) {
        KEDGE_ASSIGN_OR_RETURN(found->second, ObserveRepetition(state, prompt.sequence->content().ids, options_.ids_of,
                                                                options_.num_heads, &pool_, device_));
      }
      return KeepingWhatFollows(found->second, recent_begin);
    }
    KEDGE_ASSIGN_OR_RETURN(const HeadScores scores,
                           ObserveLatest(prompt, recent_begin, options_.num_heads, &pool_, device_));
    return Pooled(scores);
  }

  // What follows one prompt, whose rows are kept as `kept` says.
  void AddJobs(const EvalCase& made, const ComputedPrompt& prompt, const Following& kept, bool is_reference,
               Reference* reference, Outcome* outcome, std::vector<AnswerJob>* jobs) {
    const StateSize size = SizeOfState(kept.content, kept.bits, options_.fingerprint, *device_);
    outcome->rows = size.rows;
    outcome->bytes = size.bytes;
    auto begin = [&](std::vector<uint32_t> given, uint32_t max_new) {
      Following following = kept;
      following.given = std::move(given);
      following.max_new = max_new;
      return [this, &prompt, following] { return TakeState(prompt, following, &pool_, device_); };
    };
    if (const std::vector<uint32_t> given = GivenIds(made, options_); !given.empty()) {
      auto score = [=](size_t i, absl::Span<const float> logits) {
        const std::vector<float> logprobs = LogSoftmax(logits);
        if (is_reference) reference->logprobs.push_back(logprobs);
        ScoreGiven(given[i], reference->logprobs[i], logprobs, outcome);
      };
      jobs->push_back({.begin = begin(given, 0), .given = given, .score = std::move(score)});
    }
    const uint32_t max_new = made.continuation.max_new;
    if (max_new == 0) return;
    auto answered = [this, &made, is_reference, reference, outcome](const std::vector<uint32_t>& ids) {
      ScoreReply(options_.text_of(ids), made.check, outcome);
      if (is_reference) reference->answer = ids;
      outcome->same = ids == reference->answer;
    };
    jobs->push_back({.begin = begin({}, max_new), .max_new = max_new, .answered = std::move(answered)});
  }

  const EvalText& text_;
  const absl::Span<const EvalPolicy* const> policies_;
  const MeasureOptions& options_;
  StepDevice* const device_;
  const bool makes_reference_;
  TextReference& reference_;
  PagePool pool_;
  std::map<uint32_t, HeadScores> repetitions_;  // by the end of what all prompts of a fork begin with
  std::vector<Policy> kept_under_;              // [policies]
  std::vector<std::vector<Outcome>> outcomes_;  // [policies][cases]
};

}  // namespace

uint32_t MostRows(const EvalText& text, const MeasureOptions& options) {
  size_t most = 0;
  for (const EvalCase& made : text.cases) {
    const Continuation& continuation = made.continuation;
    most = std::max(
        most, continuation.prompt.size() + std::max<size_t>(GivenIds(made, options).size(), continuation.max_new));
  }
  return static_cast<uint32_t>(most);
}

absl::StatusOr<std::vector<std::vector<Outcome>>> MeasureText(const EvalText& text,
                                                              absl::Span<const EvalPolicy* const> policies,
                                                              const MeasureOptions& options, StepDevice* device,
                                                              TextReference* reference) {
  return TextMeasurement(text, policies, options, device, reference).Run();
}

}  // namespace kedge
