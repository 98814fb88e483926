// Where the salience heads of a model are found: which of its heads show what a prompt's end will need.
#ifndef KEDGE_COMMON_NODE_SALIENCE_STORE_H_
#define KEDGE_COMMON_NODE_SALIENCE_STORE_H_

#include <string>

#include "absl/status/statusor.h"
#include "common/anchor/salience.h"
#include "common/model/config.h"
#include "common/model/model_files.h"

namespace kedge {

// Metadata of a model's or an adapter's GGUF file, a string: SalienceHeadsText.
inline constexpr char kSalienceHeadsKey[] = "kedge.salience.heads";

struct FoundHeads {
  SalienceHeads heads;
  bool calibrated = true;  // false: these are all heads of the model, for want of better ones
};

// In this order: what `kedge calibrate` stored in the cache directory under the model's fingerprint, the adapter's
// metadata `kedge.salience.heads` and then the same of the base (an adapter leaves heads what they are); the heads that
// come with Kedge for models it knows; all heads. kInvalidArgument names the place where a text is no list of heads of
// this model.
absl::StatusOr<FoundHeads> FindSalienceHeads(const ModelFiles& files, const ModelConfig& config);

// Stores heads in the cache directory; returns the path.
absl::StatusOr<std::string> StoreSalienceHeads(const SalienceHeads& heads, const std::string& fingerprint);

}  // namespace kedge

#endif  // KEDGE_COMMON_NODE_SALIENCE_STORE_H_
