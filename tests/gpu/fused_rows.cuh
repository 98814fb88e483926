// What stands between products, fused: each kernel ends with activations in 8 bits in the order of fragments, so no
// product quantises. The bits are those of the scalar kernels one after another.
#ifndef KEDGE_TESTS_GPU_FUSED_ROWS_CUH_
#define KEDGE_TESTS_GPU_FUSED_ROWS_CUH_

#include "tests/gpu/exact_rows.cuh"
#include "tests/gpu/fragments.cuh"

namespace kedge::probe {

// hidden += update; out = the norm of hidden, in 8 bits. A block of threads a row, four columns a thread: blockDim.x is
// size / 4. size is a multiple of 128 and at most 4,096. update may be nullptr. Dynamic shared memory: size + 1 floats.
//
// The sum of squares is eight chains. Their threads find their numbers in the order in which they want them, four at a
// time, and ahead: what remains is the latency of the multiply-add, four cycles each.
__global__ void __launch_bounds__(1024)
    AddNorm(const float* update, const float* weight, float epsilon, int size, float* hidden, uint8_t* out) {
  float* chains = reinterpret_cast<float*>(SharedMemory());  // [size / 32][8 lanes][4]
  float* shared_scale = chains + size;
  const int row = blockIdx.x, column = 4 * threadIdx.x;
  StartNext();
  const float4 w = *reinterpret_cast<const float4*>(weight + column);
  WaitForPrevious();
  float4* at = reinterpret_cast<float4*>(hidden + size_t(row) * size + column);
  float4 x = *at;
  if (update != nullptr) {
    const float4 y = *reinterpret_cast<const float4*>(update + size_t(row) * size + column);
    x = {x.x + y.x, x.y + y.y, x.z + y.z, x.w + y.w};
    *at = x;
  }
  float* to = chains + column / 32 * 32 + column % 8 * 4 + column / 8 % 4;
  to[0] = x.x;
  to[4] = x.y;
  to[8] = x.z;
  to[12] = x.w;
  __syncthreads();
  if (threadIdx.x < 8) {
    constexpr int kAhead = 4;
    const float4* from = reinterpret_cast<const float4*>(chains) + threadIdx.x;
    const int steps = size / 32;
    float4 next[kAhead];
#pragma unroll
    for (int i = 0; i < kAhead; ++i) next[i] = i < steps ? from[i * 8] : float4{};
    float sum = 0;
    for (int step = 0; step < steps; step += kAhead) {
#pragma unroll
      for (int i = 0; i < kAhead; ++i) {
        if (step + i >= steps) break;
        const float4 v = next[i];
        if (step + kAhead + i < steps) next[i] = from[(step + kAhead + i) * 8];
        sum = __fmaf_rn(v.x, v.x, sum);
        sum = __fmaf_rn(v.y, v.y, sum);
        sum = __fmaf_rn(v.z, v.z, sum);
        sum = __fmaf_rn(v.w, v.w, sum);
      }
    }
    for (int m = 4; m > 0; m /= 2) sum += __shfl_xor_sync(0xffu, sum, m);
    if (threadIdx.x == 0) *shared_scale = 1.0f / sqrtf(sum / static_cast<float>(size) + epsilon);
  }
  __syncthreads();
  const float scale = *shared_scale;
  x = {x.x * scale * w.x, x.y * scale * w.y, x.z * scale * w.z, x.w * scale * w.w};
  QuantizeFour(x, row, column, size, out);
}

// out = silu(gate) * up in 8 bits, of rows [gate, up]: [rows][2 size]. A grid of (size / 4 / blockDim.x, rows); size is
// a multiple of 128.
__global__ void GateUp(const float* both, int size, uint8_t* out) {
  StartNext();
  WaitForPrevious();
  const int column = 4 * (blockIdx.x * blockDim.x + threadIdx.x), row = blockIdx.y;
  if (column >= size) return;
  const float4 gate = *reinterpret_cast<const float4*>(both + size_t(row) * 2 * size + column);
  const float4 up = *reinterpret_cast<const float4*>(both + size_t(row) * 2 * size + size + column);
  QuantizeFour({SwiGlu(up.x, gate.x), SwiGlu(up.y, gate.y), SwiGlu(up.z, gate.z), SwiGlu(up.w, gate.w)}, row, column,
               size, out);
}

}  // namespace kedge::probe

#endif  // KEDGE_TESTS_GPU_FUSED_ROWS_CUH_
