// The kernel for processors with AMX-INT8: products of many rows. All others are those of AVX-512, which every such
// processor has.
#ifndef KEDGE_COMMON_KERNELS_CPU_AMX_H_
#define KEDGE_COMMON_KERNELS_CPU_AMX_H_

#include "common/kernels/cpu/kernels.h"

namespace kedge::amx {

// Whether the processor has the tiles and the kernel lets this process use them, for which it is asked.
bool IsAvailable();

// As in CpuKernels.
void MultiplyQuantized(const PanelView& weights, int panel_begin, int panel_end, const QuantizedBlock* x, int rows,
                       float* out, size_t out_stride, absl::Span<const uint8_t> next);

// The same with plain code in place of the tile instructions: for tests on processors that have AVX-512 alone.
void MultiplyQuantizedEmulated(const PanelView& weights, int panel_begin, int panel_end, const QuantizedBlock* x,
                               int rows, float* out, size_t out_stride, absl::Span<const uint8_t> next);

}  // namespace kedge::amx

#endif  // KEDGE_COMMON_KERNELS_CPU_AMX_H_
