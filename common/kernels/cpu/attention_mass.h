// How much of its attention one head of one row gives to the rows that it sees.
#ifndef KEDGE_COMMON_KERNELS_CPU_ATTENTION_MASS_H_
#define KEDGE_COMMON_KERNELS_CPU_ATTENTION_MASS_H_

#include <cstdint>

#include "absl/types/span.h"
#include "common/kernels/cpu/cpu_pages.h"
#include "common/kernels/cpu/kernels.h"
#include "common/kernels/step.h"

namespace kedge {

// Fills `mass` [ends] as StepFuture::Mass has it. query: [head_dim]; it reads KV head `kv_head`.
void GiveMass(const CpuKernels& kernels, const PlanRow& row, const PageTables& tables, int layer, int kv_head,
              const float* query, const CpuPages& pages, absl::Span<const uint32_t> ends, absl::Span<uint32_t> mass);

}  // namespace kedge

#endif  // KEDGE_COMMON_KERNELS_CPU_ATTENTION_MASS_H_
