// Runs what is missing: every policy on every text, with full attention beside it to compare with.
#ifndef KEDGE_EVAL_RUN_EVAL_H_
#define KEDGE_EVAL_RUN_EVAL_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "common/kernels/step.h"
#include "eval/baselines.h"
#include "eval/eval_texts.h"
#include "eval/measure_text.h"
#include "eval/results.h"

namespace kedge {

struct EvalHooks {
  // After each text; what it returns, if not OK, ends the run.
  std::function<absl::Status(const EvalResults&)> save;
  // Now and then: what comes, and about how many rows are done of all that the run computes.
  std::function<void(const std::string& what, uint64_t done, uint64_t all)> progress;
};

// How a policy stands in results.
MeasuredPolicy MeasuredPolicyOf(const EvalPolicy& policy, const SalienceHeads& heads);

// Whether every case of the text has been measured under the policy.
bool IsMeasured(const EvalResults& results, const EvalText& text, const EvalPolicy& policy, const SalienceHeads& heads);

// Adds to `results` what it does not have. A prompt's rows are computed once under full attention, for the reference
// and for every policy with such a prefill (computed_prompt.h), and once under each policy that masks prompts. A text
// is measured whole, under all policies that miss a case of it; full attention's logits of its given texts are held
// meanwhile: [tokens][vocab].
absl::Status RunEval(absl::Span<const EvalText> texts, absl::Span<const EvalPolicy> policies,
                     const MeasureOptions& options, const EvalHooks& hooks, StepDevice* device, EvalResults* results);

}  // namespace kedge

#endif  // KEDGE_EVAL_RUN_EVAL_H_
