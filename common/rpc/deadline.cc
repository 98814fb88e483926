// Tested by deadline_test.cc and, with clocks that are set, by tests/clock_test.py.
#include "common/rpc/deadline.h"

#include "absl/time/clock.h"

namespace kedge {

absl::Time DeadlineFrom(std::chrono::system_clock::time_point deadline, const Clock& clock) {
  if (deadline == std::chrono::system_clock::time_point::max()) return absl::InfiniteFuture();
  return clock.Now() + (absl::FromChrono(deadline) - absl::Now());
}

std::chrono::system_clock::time_point DeadlineTo(absl::Time deadline, const Clock& clock) {
  if (deadline == absl::InfiniteFuture()) return std::chrono::system_clock::time_point::max();
  return absl::ToChronoTime(absl::Now() + (deadline - clock.Now()));
}

}  // namespace kedge
