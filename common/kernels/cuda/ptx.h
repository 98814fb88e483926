// The functions of device.h as instructions of sm_80 and later ones, of which sm_90 has copies that no thread makes and
// kernels that begin early. Included by it, where nvcc compiles.
#ifndef KEDGE_COMMON_KERNELS_CUDA_PTX_H_
#define KEDGE_COMMON_KERNELS_CUDA_PTX_H_

#include <cuda_runtime.h>

#include <cstdint>

#include "common/kernels/cuda/target.h"

namespace kedge::cuda::KEDGE_CUDA_TARGET {

__device__ inline uint32_t SharedAddress(const void* shared) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(shared));
}

__device__ inline uint8_t* SharedMemory() {
  extern __shared__ __align__(1024) uint8_t shared_memory[];
  return shared_memory;
}

__device__ inline void MultiplyAdd(const uint32_t (&a)[4], const uint32_t* b, int (&c)[4]) {
  asm volatile(
      "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
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
               : "r"(SharedAddress(shared))
               : "memory");
}
__device__ inline void LoadFragmentsTurned(const void* shared, uint32_t (&out)[4]) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
               : "r"(SharedAddress(shared))
               : "memory");
}

__device__ inline void CopyAsync(void* shared, const void* global) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(SharedAddress(shared)), "l"(global) : "memory");
}
__device__ inline void CommitCopies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int left>
__device__ inline void WaitForCopies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(left) : "memory");
}

__device__ inline void InitBarrier(Barrier* barrier, uint32_t arrivals) {
  asm volatile("mbarrier.init.shared.b64 [%0], %1;" ::"r"(SharedAddress(barrier)), "r"(arrivals) : "memory");
}
__device__ inline void Arrive(Barrier* barrier) {
  asm volatile("mbarrier.arrive.shared.b64 _, [%0];" ::"r"(SharedAddress(barrier)) : "memory");
}
__device__ inline uint32_t LaneIndex() {
  uint32_t lane;
  asm("mov.u32 %0, %%laneid;" : "=r"(lane));
  return lane;
}

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900

inline constexpr uint32_t kCopyArrivals = 1;

__device__ inline void PublishBarriers() { asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory"); }
__device__ inline void CopyBulk(void* shared, const void* global, uint32_t bytes, Barrier* barrier) {
  if (LaneIndex() != 0) return;
  asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(
                   SharedAddress(shared)),
               "l"(global), "r"(bytes), "r"(SharedAddress(barrier))
               : "memory");
}
__device__ inline void ArriveForBytes(Barrier* barrier, uint32_t bytes) {
  if (LaneIndex() != 0) return;
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

// Before sm_90 no kernel begins early, whatever its launch says.
__device__ inline void StartNext() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}
__device__ inline void WaitForPrevious() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

#else

inline constexpr uint32_t kCopyArrivals = 32;

__device__ inline void PublishBarriers() {}
__device__ inline void CopyBulk(void* shared, const void* global, uint32_t bytes, Barrier* barrier) {
  for (uint32_t at = 16 * LaneIndex(); at < bytes; at += 16 * 32) {
    CopyAsync(static_cast<uint8_t*>(shared) + at, static_cast<const uint8_t*>(global) + at);
  }
}
__device__ inline void ArriveForBytes(Barrier* barrier, uint32_t bytes) {  // when all copies of the thread are done
  asm volatile("cp.async.mbarrier.arrive.noinc.shared.b64 [%0];" ::"r"(SharedAddress(barrier)) : "memory");
}
__device__ inline void WaitForBarrier(Barrier* barrier, uint32_t parity) {
  asm volatile(
      "{\n"
      ".reg .pred done;\n"
      "again:\n"
      "mbarrier.test_wait.parity.shared.b64 done, [%0], %1;\n"
      "@!done bra again;\n"
      "}" ::"r"(SharedAddress(barrier)),
      "r"(parity)
      : "memory");
}

__device__ inline void StartNext() {}
__device__ inline void WaitForPrevious() {}

#endif

}  // namespace kedge::cuda::KEDGE_CUDA_TARGET

#endif  // KEDGE_COMMON_KERNELS_CUDA_PTX_H_
