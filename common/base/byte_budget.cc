// Tested by byte_budget_test.cc.
#include "common/base/byte_budget.h"

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "common/base/error_reason.h"

namespace kedge {

bool ByteBudget::Take(uint64_t bytes, uint64_t limit) {
  uint64_t used = used_.load(std::memory_order_relaxed);
  do {
    if (used > limit || bytes > limit - used) return false;
  } while (!used_.compare_exchange_weak(used, used + bytes, std::memory_order_relaxed));
  return true;
}

absl::Status ByteBudget::Full(uint64_t bytes) const {
  return Refusal(absl::ResourceExhaustedError(absl::StrCat("memory for requests: ", used(), " of ", limit_,
                                                           " bytes are held, this one takes ", bytes)),
                 kMemoryFull, absl::Seconds(1));
}

absl::StatusOr<ByteBudget::Hold> ByteBudget::Admit(uint64_t bytes) {
  if (!Take(bytes, limit_ / 5 * 4)) return Full(bytes);
  return Hold(this, bytes);
}

ByteBudget::Hold& ByteBudget::Hold::operator=(Hold&& other) noexcept {
  std::swap(budget_, other.budget_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

ByteBudget::Hold::~Hold() {
  if (budget_ != nullptr) budget_->used_.fetch_sub(bytes_, std::memory_order_relaxed);
}

absl::Status ByteBudget::Hold::Resize(uint64_t bytes) {
  if (budget_ == nullptr) return absl::OkStatus();  // of no budget: nothing is counted
  if (bytes > bytes_) {
    if (!budget_->Take(bytes - bytes_, budget_->limit_)) return budget_->Full(bytes);
  } else {
    budget_->used_.fetch_sub(bytes_ - bytes, std::memory_order_relaxed);
  }
  bytes_ = bytes;
  return absl::OkStatus();
}

}  // namespace kedge
