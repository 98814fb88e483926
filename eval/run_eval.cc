// Texts outside, policies inside: so a text's rows under full attention serve all policies, and only one text's are
// held. Tested by run_eval_test.cc.
#include "eval/run_eval.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/status.h"
#include "eval/continuation.h"
#include "eval/prefix.h"

namespace kedge {
namespace {

class Evaluation {
 public:
  Evaluation(const EvalOptions& options, const EvalHooks& hooks, StepDevice* device, EvalResults* results)
      : options_(options), hooks_(hooks), device_(device), results_(results) {}

  absl::Status Run(absl::Span<const EvalText> texts) {
    for (const EvalText& text : texts) {
      if (const auto missing = Missing(text); !missing.empty()) {
        all_rows_ += RowsOf(text, kFullAttention, /*is_reference=*/true);
        for (const EvalPolicy* policy : missing) all_rows_ += RowsOf(text, policy->policy, /*is_reference=*/false);
      }
    }
    for (const EvalText& text : texts) KEDGE_RETURN_IF_ERROR(RunText(text));
    return absl::OkStatus();
  }

 private:
  std::string HeadsOf(const Policy& policy) const {
    return policy.salient_millionths > 0 ? SalienceHeadsText(options_.heads) : "";
  }

  std::vector<const EvalPolicy*> Missing(const EvalText& text) const {
    std::vector<const EvalPolicy*> missing;
    for (const EvalPolicy& policy : options_.policies) {
      if (!results_->Has(CanonicalPolicy(policy.policy), HeadsOf(policy.policy), text.name)) missing.push_back(&policy);
    }
    return missing;
  }

  // Rows that measuring a text takes under a policy, about; what full attention has computed for the reference counts
  // there alone.
  static uint64_t RowsOf(const EvalText& text, const Policy& policy, bool is_reference) {
    if (policy == kFullAttention && !is_reference) return 0;
    const std::vector<uint32_t> forks = Forks(text, policy);
    uint64_t rows = is_reference || !HasFullPrefill(policy) ? forks.back() : 0;
    for (size_t i = 0; i < forks.size(); ++i) {
      const Continuation& continuation = text.cases[i].continuation;
      rows += continuation.prompt.size() - forks[i] + continuation.given.size() + continuation.max_new / 2;
    }
    return rows;
  }

  absl::Status RunText(const EvalText& text) {
    const std::vector<const EvalPolicy*> missing = Missing(text);
    if (missing.empty()) return absl::OkStatus();
    hooks_.progress(absl::StrCat(text.name, ", full attention"), done_rows_, all_rows_);
    std::vector<uint32_t> ends = Forks(text, kFullAttention);
    for (const EvalPolicy* policy : missing) {
      if (!HasFullPrefill(policy->policy)) continue;
      const std::vector<uint32_t> forks = Forks(text, policy->policy);
      ends.insert(ends.end(), forks.begin(), forks.end());
    }
    // Rows of full attention serve all policies with such a prefill; those that choose also share what was gathered on
    // the way, as far as their sequences are the same.
    const auto chooser = std::find_if(missing.begin(), missing.end(),
                                      [](const EvalPolicy* policy) { return policy->policy.salient_millionths > 0; });
    const Policy& full_policy = chooser == missing.end() ? kFullAttention : (*chooser)->policy;
    KEDGE_ASSIGN_OR_RETURN(const std::vector<PrefixState> full_states, ComputeStates(text, full_policy, ends));
    KEDGE_ASSIGN_OR_RETURN(const std::vector<Continued> full, ContinueCases(text, full_states, kFullAttention));
    done_rows_ += RowsOf(text, kFullAttention, /*is_reference=*/true);
    for (const EvalPolicy* policy : missing) {
      hooks_.progress(absl::StrCat(text.name, ", ", policy->text), done_rows_, all_rows_);
      if (policy->policy == kFullAttention) {
        AddRecords(text, *policy, full, full);
      } else {
        std::vector<PrefixState> own_states;
        const Policy& own = policy->policy;
        const bool other_sequences = own.salient_millionths > 0 && (own.anchors != full_policy.anchors ||
                                                                    own.text_anchors != full_policy.text_anchors ||
                                                                    own.longest != full_policy.longest);
        if (!HasFullPrefill(own) || other_sequences) {
          KEDGE_ASSIGN_OR_RETURN(own_states, ComputeStates(text, policy->policy, Forks(text, policy->policy)));
        }
        KEDGE_ASSIGN_OR_RETURN(const std::vector<Continued> continued,
                               ContinueCases(text, own_states.empty() ? full_states : own_states, policy->policy));
        AddRecords(text, *policy, full, continued);
      }
      done_rows_ += RowsOf(text, policy->policy, /*is_reference=*/false);
      KEDGE_RETURN_IF_ERROR(hooks_.save(*results_));
    }
    return absl::OkStatus();
  }

  // Where each case goes on under the policy, ascending: cases of one fork stay together.
  static std::vector<uint32_t> Forks(const EvalText& text, const Policy& policy) {
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

  absl::StatusOr<std::vector<PrefixState>> ComputeStates(const EvalText& text, const Policy& policy,
                                                         std::vector<uint32_t> ends) {
    std::sort(ends.begin(), ends.end());
    ends.erase(std::unique(ends.begin(), ends.end()), ends.end());
    return ComputePrefix(text.Prefix(policy), ends, options_.heads, device_);
  }

  // In the order of the cases. REQUIRES: `states` has one for each fork.
  absl::StatusOr<std::vector<Continued>> ContinueCases(const EvalText& text, absl::Span<const PrefixState> states,
                                                       const Policy& policy) {
    const ContinueOptions options{.policy = policy,
                                  .heads = options_.heads,
                                  .end_ids = options_.end_ids,
                                  .fingerprint = results_->settings.fingerprint,
                                  .batch = options_.batch};
    const std::vector<uint32_t> forks = Forks(text, policy);
    std::vector<Continued> all;
    while (all.size() < text.cases.size()) {
      const uint32_t fork = forks[all.size()];
      const auto state =
          std::find_if(states.begin(), states.end(), [&](const PrefixState& other) { return other.end == fork; });
      KEDGE_CHECK(state != states.end());
      std::vector<const Continuation*> continuations;
      for (size_t i = all.size(); i < text.cases.size() && forks[i] == fork; ++i) {
        continuations.push_back(&text.cases[i].continuation);
      }
      KEDGE_ASSIGN_OR_RETURN(std::vector<Continued> continued, Continue(*state, continuations, options, device_));
      std::move(continued.begin(), continued.end(), std::back_inserter(all));
    }
    return all;
  }

  // One record for each form and length of the text.
  void AddRecords(const EvalText& text, const EvalPolicy& policy, absl::Span<const Continued> full,
                  absl::Span<const Continued> continued) {
    const size_t first = results_->records.size();
    for (size_t i = 0; i < text.cases.size(); ++i) {
      const EvalCase& made = text.cases[i];
      auto record =
          std::find_if(results_->records.begin() + first, results_->records.end(),
                       [&](const EvalRecord& other) { return other.form == made.form && other.length == made.length; });
      if (record == results_->records.end()) {
        results_->records.push_back({.policy = policy.text,
                                     .canonical_policy = CanonicalPolicy(policy.policy),
                                     .heads = HeadsOf(policy.policy),
                                     .text = text.name,
                                     .form = made.form,
                                     .length = made.length});
        record = results_->records.end() - 1;
      }
      RowShape in_f16 = device_->row_shape();
      in_f16.type = KvType::kF16;
      AddCase(made.continuation, made.answers, full[i], continued[i], in_f16.row_bytes(), hooks_.text_of,
              &record->measure);
    }
  }

  const EvalOptions& options_;
  const EvalHooks& hooks_;
  StepDevice* const device_;
  EvalResults* const results_;
  uint64_t done_rows_ = 0;
  uint64_t all_rows_ = 0;
};

}  // namespace

absl::Status RunEval(absl::Span<const EvalText> texts, const EvalOptions& options, const EvalHooks& hooks,
                     StepDevice* device, EvalResults* results) {
  return Evaluation(options, hooks, device, results).Run(texts);
}

}  // namespace kedge
