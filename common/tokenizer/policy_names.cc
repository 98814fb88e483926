// Tested by policy_names_test.cc.
#include "common/tokenizer/policy_names.h"

#include <utility>

#include "common/base/status.h"

namespace kedge {

absl::StatusOr<PolicyNames> FindPolicyNames(const GgufFile& file, const Tokenizer& tokenizer,
                                            absl::string_view adapter_policy) {
  AnchorSets sets = FindAnchorSets(tokenizer);
  PolicyNames names{.sentence = std::move(sets.sentence),
                    .separators = std::move(sets.separators),
                    .full_stop = sets.full_stop,
                    .added_anchor = tokenizer.SpecialId("<AC>"),
                    .model_policy = std::string(adapter_policy),
                    .vocab_size = static_cast<uint32_t>(tokenizer.vocab_size())};
  if (adapter_policy.empty() && file.Has("kedge.anchor.policy")) {
    KEDGE_ASSIGN_OR_RETURN(names.model_policy, file.GetString("kedge.anchor.policy"));
  }
  return names;
}

}  // namespace kedge
