// gRPC asks the machine's clock, and so does this. absl::Now() counts on by itself, and may be behind for two seconds
// when the clock has been set.
//
// Tested by deadline_test.cc and, with clocks that are set, by tests/clock_test.py.
#include "common/rpc/deadline.h"

namespace kedge {
namespace {

absl::Time MachineNow() { return absl::FromChrono(std::chrono::system_clock::now()); }

}  // namespace

absl::Time DeadlineFrom(std::chrono::system_clock::time_point deadline, const Clock& clock) {
  if (deadline == std::chrono::system_clock::time_point::max()) return absl::InfiniteFuture();
  return clock.Now() + (absl::FromChrono(deadline) - MachineNow());
}

std::chrono::system_clock::time_point DeadlineTo(absl::Time deadline, const Clock& clock) {
  return DeadlineIn(deadline - clock.Now());
}

std::chrono::system_clock::time_point DeadlineIn(absl::Duration left) {
  if (left == absl::InfiniteDuration()) return std::chrono::system_clock::time_point::max();
  return absl::ToChronoTime(MachineNow() + left);
}

}  // namespace kedge
