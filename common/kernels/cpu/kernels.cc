// Collects the functions of each instruction set; which of them the machine has is asked once, at run time, so that one
// binary serves every machine. Tested by kernels_test.cc.
#include "common/kernels/cpu/kernels.h"

#include "common/base/check.h"
#include "common/kernels/cpu/amx.h"
#include "common/kernels/cpu/avx2.h"
#include "common/kernels/cpu/avx512.h"
#include "common/kernels/cpu/scalar.h"

namespace kedge {

bool IsAvailable(InstructionSet set) {
  if (set == InstructionSet::kScalar) return true;
#if defined(__x86_64__)
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
  if (set == InstructionSet::kAvx2) return avx2;
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");
  if (set == InstructionSet::kAvx512Vnni) return avx512;
  static const bool amx = amx::IsAvailable();
  return avx512 && amx;
#else
  return false;
#endif
}

InstructionSet BestInstructionSet() {
  InstructionSet best = InstructionSet::kScalar;
  for (InstructionSet set : kInstructionSets) {
    if (IsAvailable(set)) best = set;
  }
  return best;
}

std::string_view InstructionSetName(InstructionSet set) {
  switch (set) {
    case InstructionSet::kScalar:
      return "scalar";
    case InstructionSet::kAvx2:
      return "avx2";
    case InstructionSet::kAvx512Vnni:
      return "avx512-vnni";
    case InstructionSet::kAmxInt8:
      return "amx-int8";
  }
  return "";
}

const CpuKernels& KernelsFor(InstructionSet set) {
  static constexpr CpuKernels kScalarKernels = {
      scalar::QuantizeRow,   scalar::MultiplyQuantized,
      scalar::MultiplyFloat, scalar::RmsNorm,
      scalar::Rope,          scalar::Add,
      scalar::SwiGlu,        scalar::ToKv,
      scalar::Accumulate,    scalar::FromKv,
      scalar::ScaleWeights,  scalar::SoftmaxPage,
  };
  KEDGE_CHECK(IsAvailable(set));
#if defined(__x86_64__)
  static constexpr CpuKernels kAvx2Kernels = {
      avx2::QuantizeRow,   avx2::MultiplyQuantized,
      avx2::MultiplyFloat, avx2::RmsNorm,
      avx2::Rope,          avx2::Add,
      avx2::SwiGlu,        avx2::ToKv,
      avx2::Accumulate,    avx2::FromKv,
      avx2::ScaleWeights,  avx2::SoftmaxPage,
  };
  static constexpr CpuKernels kAvx512VnniKernels = {
      avx2::QuantizeRow,
      avx512::MultiplyQuantized,
      avx512::MultiplyFloat,
      avx2::RmsNorm,
      avx2::Rope,
      avx2::Add,
      avx512::SwiGlu,
      avx2::ToKv,
      avx512::Accumulate,
      avx512::FromKv,
      avx512::ScaleWeights,
      avx512::SoftmaxPage,
  };
  static constexpr CpuKernels kAmxInt8Kernels = [] {
    CpuKernels kernels = kAvx512VnniKernels;
    kernels.multiply_quantized = amx::MultiplyQuantized;
    return kernels;
  }();
  if (set == InstructionSet::kAvx2) return kAvx2Kernels;
  if (set == InstructionSet::kAvx512Vnni) return kAvx512VnniKernels;
  if (set == InstructionSet::kAmxInt8) return kAmxInt8Kernels;
#endif
  return kScalarKernels;
}

}  // namespace kedge
