// Collects the functions of each instruction set; which of them the machine has is asked once, at run time, so that one
// binary serves every machine. Tested by kernels_test.cc.
#include "common/kernels/cpu/kernels.h"

#include "common/base/check.h"
#include "common/kernels/cpu/avx2.h"
#include "common/kernels/cpu/scalar.h"

namespace kedge {

bool IsAvailable(InstructionSet set) {
  if (set == InstructionSet::kScalar) return true;
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
#else
  return false;
#endif
}

InstructionSet BestInstructionSet() {
  return IsAvailable(InstructionSet::kAvx2) ? InstructionSet::kAvx2 : InstructionSet::kScalar;
}

const CpuKernels& KernelsFor(InstructionSet set) {
  static constexpr CpuKernels kScalarKernels = {
      scalar::QuantizeRow,   scalar::MultiplyQuantized,
      scalar::MultiplyFloat, scalar::RmsNorm,
      scalar::Rope,          scalar::Add,
      scalar::SwiGlu,        scalar::ToKv,
      scalar::Accumulate,    scalar::SoftmaxPage,
  };
  KEDGE_CHECK(IsAvailable(set));
#if defined(__x86_64__)
  static constexpr CpuKernels kAvx2Kernels = {
      avx2::QuantizeRow,   avx2::MultiplyQuantized,
      avx2::MultiplyFloat, avx2::RmsNorm,
      avx2::Rope,          avx2::Add,
      avx2::SwiGlu,        avx2::ToKv,
      avx2::Accumulate,    avx2::SoftmaxPage,
  };
  if (set == InstructionSet::kAvx2) return kAvx2Kernels;
#endif
  return kScalarKernels;
}

}  // namespace kedge
