// Pages of KV rows in the shape of Llama 3.1 8B, f16, and the kernels that take rows out of them into a frame,
// [layer][kv head][keys, values][row][dim].
#ifndef KEDGE_TESTS_GPU_ROWS_LAYOUT_CUH_
#define KEDGE_TESTS_GPU_ROWS_LAYOUT_CUH_

#include <cstddef>
#include <cstdint>

namespace kedge::probe {

inline constexpr int kLayers = 32, kRowHeads = 8, kDim = 128, kRowsOfPage = 32;
inline constexpr int kParts = kLayers * kRowHeads * 2;  // of a row: keys and values of a layer and KV head
inline constexpr size_t kRowHalves = size_t{kParts} * kDim;
inline constexpr size_t kRowBytes = kRowHalves * 2;  // 128 KiB
inline constexpr size_t kPartHalves = size_t{kRowsOfPage} * kDim;
inline constexpr size_t kPageHalves = kParts * kPartHalves;  // 4 MiB

// What half `i` of the pages holds, so that whoever gets it can say whether it is the right one.
__host__ __device__ inline uint16_t HalfAt(size_t i) {
  return static_cast<uint16_t>((static_cast<uint32_t>(i) * 2654435761u ^ static_cast<uint32_t>(i >> 32)) >> 13);
}
__global__ void FillPages(uint16_t* pages, size_t size) {
  for (size_t i = blockIdx.x * size_t{blockDim.x} + threadIdx.x; i < size; i += size_t{gridDim.x} * blockDim.x) {
    pages[i] = HalfAt(i);
  }
}

// Where element `dim` of part `part` of a row lies: parts are [row][dim], or, with transposed keys as CpuPages has
// them, keys are [dim][row].
template <bool transposed_keys>
__host__ __device__ size_t HalfIndex(uint32_t row, int part, int dim) {
  const size_t begin = row / kRowsOfPage * kPageHalves + part * kPartHalves;
  const size_t inside = row % kRowsOfPage;
  return transposed_keys && part % 2 == 0 ? begin + dim * kRowsOfPage + inside : begin + inside * kDim + dim;
}

// A block of 256 threads takes 16 rows (blockIdx.x) of a part (blockIdx.y), 16 bytes a thread.
template <bool transposed_keys>
__global__ void GatherRows(const uint16_t* pages, const uint32_t* rows, int count, uint16_t* frame) {
  const int index = blockIdx.x * 16 + threadIdx.x / 16, part = blockIdx.y, dim = threadIdx.x % 16 * 8;
  if (index >= count) return;
  uint4* to = reinterpret_cast<uint4*>(frame + (size_t(part) * count + index) * kDim + dim);
  if (transposed_keys && part % 2 == 0) {
    union {
      uint16_t halves[8];
      uint4 all;
    } eight;
#pragma unroll
    for (int i = 0; i < 8; ++i) eight.halves[i] = pages[HalfIndex<true>(rows[index], part, dim + i)];
    *to = eight.all;
  } else {
    *to = *reinterpret_cast<const uint4*>(pages + HalfIndex<false>(rows[index], part, dim));
  }
}

// The other way.
__global__ void ScatterRows(const uint16_t* frame, const uint32_t* rows, int count, uint16_t* pages) {
  const int index = blockIdx.x * 16 + threadIdx.x / 16, part = blockIdx.y, dim = threadIdx.x % 16 * 8;
  if (index >= count) return;
  *reinterpret_cast<uint4*>(pages + HalfIndex<false>(rows[index], part, dim)) =
      *reinterpret_cast<const uint4*>(frame + (size_t(part) * count + index) * kDim + dim);
}

}  // namespace kedge::probe

#endif  // KEDGE_TESTS_GPU_ROWS_LAYOUT_CUH_
