// Deadlines of calls, between gRPC's clock type and Abseil's: in both, the greatest value means that there is none.
#ifndef KEDGE_COMMON_RPC_DEADLINE_H_
#define KEDGE_COMMON_RPC_DEADLINE_H_

#include <chrono>

#include "absl/time/time.h"

namespace kedge {

absl::Time DeadlineFrom(std::chrono::system_clock::time_point deadline);
std::chrono::system_clock::time_point DeadlineTo(absl::Time deadline);

}  // namespace kedge

#endif  // KEDGE_COMMON_RPC_DEADLINE_H_
