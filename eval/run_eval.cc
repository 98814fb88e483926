// Texts outside, policies inside: so a text's rows under full attention serve all policies, and only one text's are
// held. Tested by run_eval_test.cc.
#include "eval/run_eval.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/kernels/row_shape.h"
#include "eval/computed_prompt.h"
#include "eval/prefix.h"

namespace kedge {
namespace {

using PolicyGroup = std::vector<const EvalPolicy*>;  // that share rows

// The first group, which may be empty, has full prefills: full attention is measured with it.
std::vector<PolicyGroup> GroupByRows(absl::Span<const EvalPolicy* const> policies) {
  std::vector<PolicyGroup> groups(1);
  for (const EvalPolicy* policy : policies) {
    const auto group = std::find_if(groups.begin(), groups.end(), [&](const PolicyGroup& other) {
      if (other.empty()) return HasFullPrefill(policy->policy);
      return std::all_of(other.begin(), other.end(),
                         [&](const EvalPolicy* member) { return ShareRows(member->policy, policy->policy); });
    });
    (group == groups.end() ? groups.emplace_back() : *group).push_back(policy);
  }
  return groups;
}

// Rows that a group takes, about: an answer ends halfway.
uint64_t RowsOf(const EvalText& text, const PolicyGroup& group) {
  uint64_t rows = text.cases.back().fork;
  for (const EvalCase& made : text.cases) {
    const Continuation& continuation = made.continuation;
    const uint64_t following = continuation.given.size() + made.expected.size() / 4 + continuation.max_new / 2;
    rows += continuation.prompt.size() - made.fork + (group.size() + 1) * following;
  }
  return rows;
}

std::string NamesOf(const PolicyGroup& group) {
  if (group.empty()) return "full attention";
  return group.size() == 1 ? group[0]->text : absl::StrCat(group[0]->text, " and ", group.size() - 1, " more");
}

class Evaluation {
 public:
  Evaluation(absl::Span<const EvalPolicy> policies, const MeasureOptions& options, const EvalHooks& hooks,
             StepDevice* device, EvalResults* results)
      : policies_(policies), options_(options), hooks_(hooks), device_(device), results_(results) {}

  absl::Status Run(absl::Span<const EvalText> texts) {
    for (const EvalText& text : texts) {
      for (const PolicyGroup& group : MissingOf(text)) all_rows_ += RowsOf(text, group);
    }
    for (const EvalText& text : texts) KEDGE_RETURN_IF_ERROR(RunText(text));
    return absl::OkStatus();
  }

 private:
  // Groups of the policies that miss a case of the text; none if none does.
  std::vector<PolicyGroup> MissingOf(const EvalText& text) const {
    PolicyGroup missing;
    for (const EvalPolicy& policy : policies_) {
      if (!IsMeasured(*results_, text, policy, options_.heads)) missing.push_back(&policy);
    }
    return missing.empty() ? std::vector<PolicyGroup>() : GroupByRows(missing);
  }

  absl::Status RunText(const EvalText& text) {
    TextReference reference;
    const std::vector<PolicyGroup> groups = MissingOf(text);
    if (groups.empty()) return absl::OkStatus();
    for (const PolicyGroup& group : groups) {
      hooks_.progress(absl::StrCat(text.name, ", ", NamesOf(group)), done_rows_, all_rows_);
      KEDGE_ASSIGN_OR_RETURN(const std::vector<std::vector<Outcome>> outcomes,
                             MeasureText(text, group, options_, device_, &reference));
      for (size_t i = 0; i < group.size(); ++i) Add(text, *group[i], outcomes[i]);
      done_rows_ += RowsOf(text, group);
    }
    return hooks_.save(*results_);
  }

  void Add(const EvalText& text, const EvalPolicy& policy, absl::Span<const Outcome> outcomes) {
    RowShape f16 = device_->row_shape();
    f16.type = KvType::kF16;
    const uint32_t number = results_->NumberOf(MeasuredPolicyOf(policy, options_.heads));
    for (size_t i = 0; i < text.cases.size(); ++i) {
      const EvalCase& made = text.cases[i];
      const uint64_t rows = made.continuation.prompt.size() - 1;
      const MeasuredCase measured{.text = text.name,
                                  .kind = text.kind,
                                  .number = static_cast<uint32_t>(i),
                                  .form = made.form,
                                  .length = made.length,
                                  .full_rows = rows,
                                  .full_bytes = rows * f16.row_bytes()};
      results_->Add(number, results_->NumberOf(measured), outcomes[i]);
    }
  }

  const absl::Span<const EvalPolicy> policies_;
  const MeasureOptions& options_;
  const EvalHooks& hooks_;
  StepDevice* const device_;
  EvalResults* const results_;
  uint64_t done_rows_ = 0;
  uint64_t all_rows_ = 0;
};

}  // namespace

MeasuredPolicy MeasuredPolicyOf(const EvalPolicy& policy, const SalienceHeads& heads) {
  return {.name = policy.text,
          .canonical = policy.Canonical(),
          .heads = policy.policy.salient_millionths > 0
                       ? absl::StrCat("choice=", kSalienceVersion, ",", SalienceHeadsText(heads))
                       : ""};
}

bool IsMeasured(const EvalResults& results, const EvalText& text, const EvalPolicy& policy,
                const SalienceHeads& heads) {
  return results.Count(MeasuredPolicyOf(policy, heads), text.name) >= text.cases.size();
}

absl::Status RunEval(absl::Span<const EvalText> texts, absl::Span<const EvalPolicy> policies,
                     const MeasureOptions& options, const EvalHooks& hooks, StepDevice* device, EvalResults* results) {
  return Evaluation(policies, options, hooks, device, results).Run(texts);
}

}  // namespace kedge
