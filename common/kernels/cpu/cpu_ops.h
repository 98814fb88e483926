// The backend that users run: threads and vectors.
#ifndef KEDGE_COMMON_KERNELS_CPU_CPU_OPS_H_
#define KEDGE_COMMON_KERNELS_CPU_CPU_OPS_H_

#include <memory>

#include "common/kernels/cpu/kernels.h"
#include "common/kernels/ops.h"

namespace kedge {

// Both change speed only, never a bit of the result.
struct CpuOptions {
  int threads = 1;  // the caller's included
  InstructionSet instruction_set = BestInstructionSet();
};

// Class "cpu-1": activations in 8 bits (one scale per 32) against quantised weights, in float against the float types;
// prompt rows and generated rows are computed alike. Threads sleep between steps.
std::unique_ptr<Ops> CreateCpuOps(const CpuOptions& options);

}  // namespace kedge

#endif  // KEDGE_COMMON_KERNELS_CPU_CPU_OPS_H_
