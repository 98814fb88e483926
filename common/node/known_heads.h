// Salience heads of models that Kedge knows, as `kedge calibrate` found them.
#ifndef KEDGE_COMMON_NODE_KNOWN_HEADS_H_
#define KEDGE_COMMON_NODE_KNOWN_HEADS_H_

#include "absl/strings/string_view.h"

namespace kedge {

// Text of SalienceHeads for a model's fingerprint; empty if it is not known.
absl::string_view KnownSalienceHeads(absl::string_view fingerprint);

}  // namespace kedge

#endif  // KEDGE_COMMON_NODE_KNOWN_HEADS_H_
