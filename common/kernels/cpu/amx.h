// For processors with AMX-INT8: products of many rows. All other kernels are those of AVX-512, which every such
// processor has.
#ifndef KEDGE_COMMON_KERNELS_CPU_AMX_H_
#define KEDGE_COMMON_KERNELS_CPU_AMX_H_

#include "common/kernels/cpu/kernels.h"

namespace kedge::amx {

// Whether the processor has the tiles, and the operating system lets this process use them once it is asked: from then
// on it does, and the process's signal frames are larger by 8 KiB.
bool IsAvailable();

// As in CpuKernels.
void MultiplyQuantized(const PanelView& weights, int panel_begin, int panel_end, const QuantizedBlock* x, int rows,
                       float* out, size_t out_stride, absl::Span<const uint8_t> next);

}  // namespace kedge::amx

#endif  // KEDGE_COMMON_KERNELS_CPU_AMX_H_
