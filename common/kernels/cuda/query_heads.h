// The query heads that a block of threads takes: those of one KV head or, where these are many, a group of them.
#ifndef KEDGE_COMMON_KERNELS_CUDA_QUERY_HEADS_H_
#define KEDGE_COMMON_KERNELS_CUDA_QUERY_HEADS_H_

#include "common/kernels/cuda/arrays.h"
#include "common/kernels/cuda/device.h"
#include "common/kernels/cuda/operand.h"

namespace kedge::cuda::KEDGE_CUDA_TARGET {

struct HeadGroups {
  int shared;  // heads that read one KV head
  int size;    // of a group; the last one of a KV head may be smaller
  int count;   // groups of a KV head
};
// Groups of at most `most`, as alike as can be.
inline HeadGroups DivideHeads(int heads, int kv_heads, int most) {
  const int shared = heads / kv_heads, count = (shared + most - 1) / most;
  return {shared, (shared + count - 1) / count, count};
}

struct HeadGroup {
  int kv_head, first, count;  // query heads [first, first + count)
};
// Of kv_heads * count groups, the number `index`.
__device__ inline HeadGroup GroupOf(const HeadGroups& groups, int index) {
  const int kv_head = index / groups.count, in_kv_head = index % groups.count * groups.size;
  return {kv_head, kv_head * groups.shared + in_kv_head, min(groups.size, groups.shared - in_kv_head)};
}

// Whether the kernel that makes a head's values also rounds them to 8 bits: blocks of 32 do not go beyond a head.
constexpr bool IsRoundedByHead(int head_dim) { return head_dim % 32 == 0; }

// By a warp: out[row], columns [column, column + count), from shared memory, in both forms where IsRoundedByHead.
__device__ inline void StoreHead(const float* values, int row, int column, int count, int head_dim,
                                 const OperandRows& out) {
  float* to = out.floats.data + size_t(row) * out.floats.stride + column;
  if (IsRoundedByHead(head_dim)) {
    for (int i = 4 * (threadIdx.x % 32); i < count; i += 128) {
      const float4 four = *reinterpret_cast<const float4*>(values + i);
      *reinterpret_cast<float4*>(to + i) = four;
      if (out.quantized != nullptr) QuantizeFour(four, row, column + i, out.floats.columns, out.quantized);
    }
  } else {
    for (int i = 2 * (threadIdx.x % 32); i < count; i += 64) {
      *reinterpret_cast<float2*>(to + i) = *reinterpret_cast<const float2*>(values + i);
    }
  }
}

}  // namespace kedge::cuda::KEDGE_CUDA_TARGET

#endif  // KEDGE_COMMON_KERNELS_CUDA_QUERY_HEADS_H_
