// Runs what is missing: every policy on every text, with full attention beside it to compare with.
#ifndef KEDGE_EVAL_RUN_EVAL_H_
#define KEDGE_EVAL_RUN_EVAL_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "common/anchor/policy.h"
#include "common/anchor/salience.h"
#include "common/kernels/step.h"
#include "eval/eval_texts.h"
#include "eval/measure.h"
#include "eval/results.h"

namespace kedge {

struct EvalPolicy {
  std::string text;  // as it was asked for: its name in the report
  Policy policy;
};

struct EvalHooks {
  TextOf text_of;
  // After each policy of each text; what it returns, if not OK, ends the run.
  std::function<absl::Status(const EvalResults&)> save;
  // Before each of them: what comes, and about how many rows are done of all that the run computes.
  std::function<void(const std::string& what, uint64_t done, uint64_t all)> progress;
};

struct EvalOptions {
  std::vector<EvalPolicy> policies;
  SalienceHeads heads;            // of the model: choose salient sequences
  std::vector<uint32_t> end_ids;  // end an answer; sorted
  uint32_t batch = 8;             // sequences that share a step
};

// Adds to `results` what it does not have. A text's beginning is computed once under full attention, for the reference
// and for every policy with such a prefill, and once under each policy that masks prompts; each case goes on from
// there. One text's logits under full attention are held at a time: [positions of its cases][vocab].
absl::Status RunEval(absl::Span<const EvalText> texts, const EvalOptions& options, const EvalHooks& hooks,
                     StepDevice* device, EvalResults* results);

}  // namespace kedge

#endif  // KEDGE_EVAL_RUN_EVAL_H_
