// Which instruction set multiplies fastest on this machine.
//
// All give the same bits, and the newest is not always the fastest: on a virtual machine products with AMX took up to
// 2.4 times as long as with AVX-512 (docs/performance.md). So both are timed.
#ifndef KEDGE_COMMON_KERNELS_CPU_FASTEST_SET_H_
#define KEDGE_COMMON_KERNELS_CPU_FASTEST_SET_H_

#include "absl/functional/function_ref.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "common/base/thread_pool.h"
#include "common/kernels/cpu/kernels.h"

namespace kedge {

// Asked for the first time it takes a few milliseconds on all threads of `pool` where there is AMX. The answer stays:
// a process is to compute with what its self-test (numerics_class.h) computed with. Thread-safe.
InstructionSet FastestInstructionSet(ThreadPool& pool);

// The set whose time was least in several rounds, in each of which time(set) is asked for every set once; of equals the
// last one. What else the machine does meanwhile hits one round or another. REQUIRES: `sets` is not empty.
InstructionSet FastestOf(absl::Span<const InstructionSet> sets, absl::FunctionRef<absl::Duration(InstructionSet)> time);

}  // namespace kedge

#endif  // KEDGE_COMMON_KERNELS_CPU_FASTEST_SET_H_
