// What the names in a policy's text stand for in one model.
#ifndef KEDGE_COMMON_TOKENIZER_POLICY_NAMES_H_
#define KEDGE_COMMON_TOKENIZER_POLICY_NAMES_H_

#include "absl/status/statusor.h"
#include "common/anchor/policy.h"
#include "common/model/gguf.h"
#include "common/tokenizer/tokenizer.h"

namespace kedge {

// From the vocabulary, and `kedge.anchor.policy` of the metadata where it is set (kInvalidArgument if it is no string).
absl::StatusOr<PolicyNames> FindPolicyNames(const GgufFile& file, const Tokenizer& tokenizer);

}  // namespace kedge

#endif  // KEDGE_COMMON_TOKENIZER_POLICY_NAMES_H_
