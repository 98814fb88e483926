// The kernels for AVX2, FMA and F16C. Functions carry the target themselves: a compiler flag for whole files would also
// reach inline functions of the standard library, of which the linker keeps any one copy.
#ifndef KEDGE_COMMON_KERNELS_CPU_AVX2_H_
#define KEDGE_COMMON_KERNELS_CPU_AVX2_H_

#include "common/kernels/cpu/kernels.h"

namespace kedge::avx2 {

// As in CpuKernels.
void QuantizeRow(const float* x, int inputs, QuantizedBlock* out);
void MultiplyQuantized(const PanelView& weights, int panel_begin, int panel_end, const QuantizedBlock* x, int rows,
                       float* out, size_t out_stride, absl::Span<const uint8_t> next);
void MultiplyFloat(const PanelView& weights, int panel_begin, int panel_end, const float* x, size_t x_stride, int rows,
                   float* out, size_t out_stride);
void RmsNorm(const float* x, const float* weight, float epsilon, int size, float* out);
void Rope(const float* cos, const float* sin, int size, float* x);
void Add(const float* y, int size, float* x);
void SwiGlu(const float* up, int size, float* gate);
void ToKv(KvType type, KvPart part, const float* x, int size, void* out);
void Accumulate(KvType type, int queries, const float* a, size_t a_stride, const void* b, size_t b_stride, int begin,
                int end, int block_begin, int block_end, const float* scales, float* sums, size_t sums_stride);
void FromKv(KvType type, const void* data, int size, float* out);
void ScaleWeights(const float* scales, int queries, const float* weights, float* out);
void SoftmaxPage(const float* scores, int begin, int end, SoftmaxState* state, float* weights, float* values, int size);

}  // namespace kedge::avx2

#endif  // KEDGE_COMMON_KERNELS_CPU_AVX2_H_
