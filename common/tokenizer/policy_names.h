// What the names in a policy's text stand for in one model.
#ifndef KEDGE_COMMON_TOKENIZER_POLICY_NAMES_H_
#define KEDGE_COMMON_TOKENIZER_POLICY_NAMES_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/anchor/policy.h"
#include "common/model/gguf.h"
#include "common/tokenizer/tokenizer.h"

namespace kedge {

// From the vocabulary, and as the model's policy that of an adapter; where there is none (""), `kedge.anchor.policy` of
// the metadata if that is set (kInvalidArgument if it is no string).
absl::StatusOr<PolicyNames> FindPolicyNames(const GgufFile& file, const Tokenizer& tokenizer,
                                            absl::string_view adapter_policy = "");

}  // namespace kedge

#endif  // KEDGE_COMMON_TOKENIZER_POLICY_NAMES_H_
