// Finds the salience heads of a model and stores them: `kedge calibrate`, and `run` and `up` where a policy needs them.
#ifndef KEDGE_CLI_CALIBRATE_MODEL_H_
#define KEDGE_CLI_CALIBRATE_MODEL_H_

#include <cstddef>
#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "common/anchor/policy.h"
#include "common/anchor/salience.h"
#include "common/model/model_files.h"
#include "eval/head_ranking.h"

namespace kedge {

struct CalibratedModel {
  HeadRanking ranking;
  SalienceHeads heads;  // the best of it
  size_t prompts = 0;
  absl::StatusOr<std::string> stored;  // where the heads are, or why they could not be stored
};

// Computes some prompts with `threads` threads (0: one per core), shows its progress, and stores what it found, if it
// can. kCancelled some time after `cancelled` turns true; kInvalidArgument: the model's context is too short;
// kFailedPrecondition: no head of it looks at answers.
absl::StatusOr<CalibratedModel> CalibrateModel(const ModelFiles& files, int threads,
                                               const std::function<bool()>& cancelled);

// Does that if `policy` chooses by heads that nobody has found yet, and says so. Returns the heads' text if they could
// not be stored, so that nodes must be told; "" if there is nothing to tell. Without success all heads will choose:
// that is said too, and no error, but for kCancelled and files that cannot be read.
absl::StatusOr<std::string> CalibrateAtNeed(const ModelFiles& files, const Policy& policy, int threads,
                                            const std::function<bool()>& cancelled);

}  // namespace kedge

#endif  // KEDGE_CLI_CALIBRATE_MODEL_H_
