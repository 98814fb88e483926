// The instructions of sm_90 that CUDA C++ has no name for, each as a function: int8 tensor core products, copies to
// shared memory that nobody waits for with registers, the barriers that these report to, and what overlaps a kernel
// with the one before it. Everything else that the kernels use is plain CUDA.
#ifndef KEDGE_TESTS_GPU_HOPPER_CUH_
#define KEDGE_TESTS_GPU_HOPPER_CUH_

#include <cuda_runtime.h>

#include <cstdint>

namespace kedge::probe {

__device__ inline uint32_t SharedAddress(const void* shared) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(shared));
}

// The dynamic shared memory of a block of threads.
__device__ inline uint8_t* SharedMemory() {
  extern __shared__ __align__(1024) uint8_t shared_memory[];
  return shared_memory;
}

// --- Tensor cores ---

// An accumulator that starts as the bits of 1.5 * 2^23 is, as a float, that plus the sum: sums are below 2^22.
inline constexpr int kSumAsFloat = 0x4b400000;

// 16 x 8 sums over 32 inputs.
__device__ inline void MultiplyBlock(const uint32_t (&a)[4], const uint32_t* b, int (&c)[4]) {
  asm volatile(
      "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%10, %10, %10, %10};"
      : "=r"(c[0]), "=r"(c[1]), "=r"(c[2]), "=r"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]), "r"(kSumAsFloat));
}

__device__ inline void LoadFragments(const void* shared, uint32_t (&out)[4]) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
               : "r"(SharedAddress(shared)));
}

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

// --- Copies of 16 bytes a thread ---

__device__ inline void CopyAsync(void* shared, const void* global) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(SharedAddress(shared)), "l"(global) : "memory");
}
__device__ inline void CommitCopies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int left>
__device__ inline void WaitForCopies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(left) : "memory");
}

// --- Copies of any number of bytes by one thread, a multiple of 16, which end at a barrier ---

using Barrier = uint64_t;  // in shared memory

__device__ inline void InitBarrier(Barrier* barrier, uint32_t arrivals) {
  asm volatile("mbarrier.init.shared.b64 [%0], %1;" ::"r"(SharedAddress(barrier)), "r"(arrivals) : "memory");
}
// Behind the last InitBarrier, before the barrier that tells the other threads.
__device__ inline void PublishBarriers() { asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory"); }
__device__ inline void Arrive(Barrier* barrier) {
  asm volatile("mbarrier.arrive.shared.b64 _, [%0];" ::"r"(SharedAddress(barrier)) : "memory");
}
// Arrives, and the phase does not end before so many bytes came.
__device__ inline void ArriveForBytes(Barrier* barrier, uint32_t bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared.b64 _, [%0], %1;" ::"r"(SharedAddress(barrier)), "r"(bytes)
               : "memory");
}
__device__ inline void WaitForBarrier(Barrier* barrier, uint32_t parity) {
  asm volatile(
      "{\n"
      ".reg .pred done;\n"
      "again:\n"
      "mbarrier.try_wait.parity.shared.b64 done, [%0], %1;\n"
      "@!done bra again;\n"
      "}" ::"r"(SharedAddress(barrier)),
      "r"(parity)
      : "memory");
}
__device__ inline void CopyBulk(void* shared, const void* global, uint32_t bytes, Barrier* barrier) {
  asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(
                   SharedAddress(shared)),
               "l"(global), "r"(bytes), "r"(SharedAddress(barrier))
               : "memory");
}

// --- Kernels that begin before the one in front of them has ended (programmatic dependent launch) ---

// The next kernel may be put on the device.
__device__ inline void StartNext() { asm volatile("griddepcontrol.launch_dependents;" ::: "memory"); }
// All that the kernels before this one wrote is there. Every thread of every kernel calls it before it reads what an
// earlier kernel wrote and before it writes anything that one may read: so a kernel's end means the end of all before.
__device__ inline void WaitForPrevious() { asm volatile("griddepcontrol.wait;" ::: "memory"); }

}  // namespace kedge::probe

#endif  // KEDGE_TESTS_GPU_HOPPER_CUH_
