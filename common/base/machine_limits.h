// What this process may use of the machine: the machine's own memory and cores, or less where somebody set limits.
#ifndef KEDGE_COMMON_BASE_MACHINE_LIMITS_H_
#define KEDGE_COMMON_BASE_MACHINE_LIMITS_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"

namespace kedge {

struct MachineLimits {
  uint64_t memory_bytes = 0;
  int cores = 1;
};

// The smallest of: the machine, the cores that the process may run on (taskset, cpusets), the limit of its address
// space (ulimit -v), and the limits of its control group and of all groups around it, as containers, systemd and batch
// systems set them. Asks the kernel on each call. Thread-safe.
MachineLimits UsableMachine();

// Its part that reads files; tests give others. `whole`: the machine without control groups. `root` stands before
// /proc/self/cgroup, /proc/self/mountinfo and the directories that these name; "" for the real ones.
MachineLimits LimitedByGroups(MachineLimits whole, const std::string& root);

// Lets this process, and what it starts, open as many files as the hard limit allows, or a million; sockets count.
// kResourceExhausted if these are fewer than `least`: said at once, because later it shows as a wait without an end.
absl::Status RaiseFileLimit(uint64_t least);
// How many it may open now.
uint64_t FileLimit();
// For a server with a few connections.
inline constexpr uint64_t kLeastFiles = 64;

// A line where the address space is so limited (ulimit -v) that gRPC, which starts many threads, aborts or connects to
// nobody. Else "".
std::string AddressSpaceWarning();

}  // namespace kedge

#endif  // KEDGE_COMMON_BASE_MACHINE_LIMITS_H_
