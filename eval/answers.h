// What a model makes of many prompts whose rows are known: given texts are scored, or answers written, several at once.
#ifndef KEDGE_EVAL_ANSWERS_H_
#define KEDGE_EVAL_ANSWERS_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/engine/sequence.h"
#include "common/kernels/step.h"

namespace kedge {

struct AnswerJob {
  // Makes the sequence, at its prompt's last row, when its turn comes. kResourceExhausted: it is asked again when
  // another job has ended.
  std::function<absl::StatusOr<std::unique_ptr<Sequence>>()> begin;

  // A text to score: its ids, of which the sequence has all but the last. Empty: a greedy answer.
  std::vector<uint32_t> given;
  // The logits by which given[i] is to be told, for each i in order.
  std::function<void(size_t i, absl::Span<const float> logits)> score;

  // An answer of at most max_new ids, its end included.
  uint32_t max_new = 0;
  std::function<void(std::vector<uint32_t> ids)> answered;
};

// Runs all jobs, in order, at most `batch` at a time, and one step for all of them. `end_ids`, sorted, end an answer.
// The bits of each are those that it has alone (common/kernels/step.h). kResourceExhausted: one has no room even alone.
absl::Status RunAnswers(absl::Span<const AnswerJob> jobs, absl::Span<const uint32_t> end_ids, uint32_t batch,
                        StepDevice* device);

}  // namespace kedge

#endif  // KEDGE_EVAL_ANSWERS_H_
