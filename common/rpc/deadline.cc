// Tested by deadline_test.cc.
#include "common/rpc/deadline.h"

namespace kedge {

absl::Time DeadlineFrom(std::chrono::system_clock::time_point deadline) {
  return deadline == std::chrono::system_clock::time_point::max() ? absl::InfiniteFuture() : absl::FromChrono(deadline);
}

std::chrono::system_clock::time_point DeadlineTo(absl::Time deadline) {
  return deadline == absl::InfiniteFuture() ? std::chrono::system_clock::time_point::max()
                                            : absl::ToChronoTime(deadline);
}

}  // namespace kedge
