// Deadlines of calls, between gRPC, whose are times of the machine's clock, and Kedge, whose are times of a Clock that
// nobody sets. What is taken over is how long there is to go: then neither a machine whose clock differs from another's
// nor one whose clock is set moves a deadline. (gRPC too sends a call's as a duration.) In both, the greatest value
// means that there is none.
#ifndef KEDGE_COMMON_RPC_DEADLINE_H_
#define KEDGE_COMMON_RPC_DEADLINE_H_

#include <chrono>

#include "absl/time/time.h"
#include "common/base/clock.h"

namespace kedge {

// All hold for the machine's clock as it is now: `deadline` was asked for just now, or is used at once.
absl::Time DeadlineFrom(std::chrono::system_clock::time_point deadline, const Clock& clock);
std::chrono::system_clock::time_point DeadlineTo(absl::Time deadline, const Clock& clock);
std::chrono::system_clock::time_point DeadlineIn(absl::Duration left);

}  // namespace kedge

#endif  // KEDGE_COMMON_RPC_DEADLINE_H_
