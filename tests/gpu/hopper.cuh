// What common/kernels/cuda/device.h has, and beside it the products of sm_90a that the emulated device does not know.
#ifndef KEDGE_TESTS_GPU_HOPPER_CUH_
#define KEDGE_TESTS_GPU_HOPPER_CUH_

#include <cstdint>

#include "common/kernels/cuda/device.h"

namespace kedge::probe {

using namespace cuda;  // the probe's kernels are written with its words

// A matrix in shared memory that has its cores of 8 x 16 bytes one behind the other along the inputs, and those of the
// next 8 rows `stride` bytes further.
__device__ inline uint64_t MatrixOf(const void* shared, int stride) {
  return uint64_t{(SharedAddress(shared) & 0x3ffffu) >> 4} | uint64_t{128 >> 4} << 16 | uint64_t(stride >> 4) << 32;
}

// 64 x 64 sums over 32 inputs, by four warps, of matrices in shared memory: warp w has rows 16 w .. + 15 of `a`; c[n]
// are its sums with rows 8 n .. + 7 of `b`, as MultiplyBlock has them. They are there after WaitForProducts.
__device__ inline void MultiplyMatrices(uint64_t a, uint64_t b, int (&c)[8][4]) {
  asm volatile(
      "{\n"
      ".reg .pred adds;\n"
      "setp.ne.b32 adds, 0, 0;\n"
      "wgmma.fence.sync.aligned;\n"
      "wgmma.mma_async.sync.aligned.m64n64k32.s32.s8.s8 "
      "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
      "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31}, %32, %33, adds;\n"
      "wgmma.commit_group.sync.aligned;\n"
      "}"
      : "=r"(c[0][0]), "=r"(c[0][1]), "=r"(c[0][2]), "=r"(c[0][3]), "=r"(c[1][0]), "=r"(c[1][1]), "=r"(c[1][2]),
        "=r"(c[1][3]), "=r"(c[2][0]), "=r"(c[2][1]), "=r"(c[2][2]), "=r"(c[2][3]), "=r"(c[3][0]), "=r"(c[3][1]),
        "=r"(c[3][2]), "=r"(c[3][3]), "=r"(c[4][0]), "=r"(c[4][1]), "=r"(c[4][2]), "=r"(c[4][3]), "=r"(c[5][0]),
        "=r"(c[5][1]), "=r"(c[5][2]), "=r"(c[5][3]), "=r"(c[6][0]), "=r"(c[6][1]), "=r"(c[6][2]), "=r"(c[6][3]),
        "=r"(c[7][0]), "=r"(c[7][1]), "=r"(c[7][2]), "=r"(c[7][3])
      : "l"(a), "l"(b)
      : "memory");
}
__device__ inline void WaitForProducts(int (&c)[8][4]) {
  asm volatile("wgmma.wait_group.sync.aligned 0;"
               : "+r"(c[0][0]), "+r"(c[0][1]), "+r"(c[0][2]), "+r"(c[0][3]), "+r"(c[1][0]), "+r"(c[1][1]),
                 "+r"(c[1][2]), "+r"(c[1][3]), "+r"(c[2][0]), "+r"(c[2][1]), "+r"(c[2][2]), "+r"(c[2][3]),
                 "+r"(c[3][0]), "+r"(c[3][1]), "+r"(c[3][2]), "+r"(c[3][3]), "+r"(c[4][0]), "+r"(c[4][1]),
                 "+r"(c[4][2]), "+r"(c[4][3]), "+r"(c[5][0]), "+r"(c[5][1]), "+r"(c[5][2]), "+r"(c[5][3]),
                 "+r"(c[6][0]), "+r"(c[6][1]), "+r"(c[6][2]), "+r"(c[6][3]), "+r"(c[7][0]), "+r"(c[7][1]),
                 "+r"(c[7][2]), "+r"(c[7][3])
               :
               : "memory");
}

}  // namespace kedge::probe

#endif  // KEDGE_TESTS_GPU_HOPPER_CUH_
