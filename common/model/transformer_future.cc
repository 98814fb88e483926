// Tested by transformer_test.cc.
#include "common/model/transformer_future.h"

#include <string>

#include "absl/strings/str_cat.h"

namespace kedge {

TransformerFuture::TransformerFuture(std::unique_ptr<const StepPlan> plan, KvType type,
                                     std::unique_ptr<PendingStep> pending)
    : plan_(std::move(plan)), type_(type), pending_(std::move(pending)) {}

absl::Status TransformerFuture::Wait() {
  if (!status_.has_value()) {
    status_ = pending_->Wait();
    if (status_->ok()) FindBadRows();
  }
  return *status_;
}

absl::Status TransformerFuture::CheckRows(size_t first, size_t count) const {
  const auto bad = bad_rows_.lower_bound(first);
  return bad != bad_rows_.end() && bad->first < first + count ? bad->second : absl::OkStatus();
}

// What comes first is the cause: a bad row makes all that sees it bad, in later layers and in the logits.
void TransformerFuture::FindBadRows() {
  for (const KvFault& fault : outcome().faults) {
    const std::string what =
        fault.overflowed ? absl::StrCat("a key or value is beyond what the KV type ", KvTypeName(type_),
                                        " holds: serve this model with --kv-type bf16 or f32")
                         : std::string("a key or value is infinite or not a number: the weights may be damaged");
    bad_rows_.emplace(fault.row, absl::InternalError(absl::StrCat("token ", plan_->rows[fault.row].position, ", layer ",
                                                                  fault.layer, ": ", what)));
  }
  size_t output = 0;
  for (size_t row = 0; row < plan_->rows.size(); ++row) {
    if (!plan_->rows[row].has_output() || outcome().outputs[output++].is_finite) continue;
    bad_rows_.emplace(row, absl::InternalError(absl::StrCat(
                               "token ", plan_->rows[row].position,
                               ": its logits are infinite or not numbers: the weights may be damaged")));
  }
}

}  // namespace kedge
