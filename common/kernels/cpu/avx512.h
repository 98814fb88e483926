// The kernels for AVX-512 with VNNI; what is not here runs as well with AVX2. Functions carry the target themselves
// (avx2.h says why).
#ifndef KEDGE_COMMON_KERNELS_CPU_AVX512_H_
#define KEDGE_COMMON_KERNELS_CPU_AVX512_H_

#include "common/kernels/cpu/kernels.h"

namespace kedge::avx512 {

// As in CpuKernels.
void MultiplyQuantized(const PanelView& weights, int panel_begin, int panel_end, const QuantizedBlock* x, int rows,
                       float* out, size_t out_stride, absl::Span<const uint8_t> next);
void MultiplyFloat(const PanelView& weights, int panel_begin, int panel_end, const float* x, size_t x_stride, int rows,
                   float* out, size_t out_stride);
void SwiGlu(const float* up, int size, float* gate);
void Accumulate(KvType type, int queries, const float* a, size_t a_stride, const void* b, size_t b_stride, int begin,
                int end, int block_begin, int block_end, const float* scales, float* sums, size_t sums_stride);
void FromKv(KvType type, const void* data, int size, float* out);
void ScaleWeights(const float* scales, int queries, const float* weights, float* out);
void SoftmaxPage(const float* scores, int begin, int end, SoftmaxState* state, float* weights, float* values, int size);

}  // namespace kedge::avx512

#endif  // KEDGE_COMMON_KERNELS_CPU_AVX512_H_
