// Finds a model's salience heads: computes calibration prompts under full attention and looks where every head looks.
#ifndef KEDGE_EVAL_CALIBRATE_H_
#define KEDGE_EVAL_CALIBRATE_H_

#include <cstdint>
#include <functional>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/kernels/head_ref.h"
#include "common/kernels/step.h"
#include "eval/calibration_prompts.h"
#include "eval/head_ranking.h"

namespace kedge {

struct CalibrationHooks {
  std::function<bool()> cancelled;  // looked at before each prompt
  // Rows done of all that are computed.
  std::function<void(uint64_t done, uint64_t all)> progress;
};

// Ranks `heads`. A text's rows up to its fork are computed once; of the others, those that are looked at report the
// mass of all heads. kCancelled after `cancelled`; kResourceExhausted: the device has too few pages for a prompt.
absl::StatusOr<HeadRanking> Calibrate(absl::Span<const CalibrationText> texts, absl::Span<const HeadRef> heads,
                                      const CalibrationHooks& hooks, StepDevice* device);

}  // namespace kedge

#endif  // KEDGE_EVAL_CALIBRATE_H_
