// The functions of device.h for the emulated device. Included by it, where g++ compiles. Each checks what the
// instruction asks of its addresses.
//
// Copies are as late as a device may be: a thread's are done when it waits for them, bulk copies when all threads wait.
// From when one is asked for, its target holds 0xff bytes, so who reads too early, or still, gets NaN.
#ifndef KEDGE_COMMON_KERNELS_CUDA_EMULATED_INSTRUCTIONS_H_
#define KEDGE_COMMON_KERNELS_CUDA_EMULATED_INSTRUCTIONS_H_

#include <cstdint>

#include "common/kernels/cuda/target.h"

namespace kedge::cuda::emulated {

// c[0..3] of the lane += its part of a * b.
void MultiplyAddInWarp(const uint32_t (&a)[4], const uint32_t* b, int (&c)[4]);
void LoadMatrices(const void* shared, bool turned, uint32_t (&out)[4]);
void FinishCopies(uint32_t left);

}  // namespace kedge::cuda::emulated

namespace kedge::cuda::KEDGE_CUDA_TARGET {

// As where each lane copies its part, so that a lane that does not call is missed; the first copies it all.
inline constexpr uint32_t kCopyArrivals = 32;

// Declared in device.h: SharedMemory, CopyAsync, CommitCopies, all of the barriers in shared memory and of early
// kernels are plain functions (copies.cc).

inline void MultiplyAdd(const uint32_t (&a)[4], const uint32_t* b, int (&c)[4]) {
  emulated::MultiplyAddInWarp(a, b, c);
}
inline void MultiplyBlock(const uint32_t (&a)[4], const uint32_t* b, int (&c)[4]) {
  for (int& sum : c) sum = kSumAsFloat;
  emulated::MultiplyAddInWarp(a, b, c);
}

inline void LoadFragments(const void* shared, uint32_t (&out)[4]) { emulated::LoadMatrices(shared, false, out); }
inline void LoadFragmentsTurned(const void* shared, uint32_t (&out)[4]) { emulated::LoadMatrices(shared, true, out); }

template <int left>
void WaitForCopies() {
  static_assert(left >= 0);
  emulated::FinishCopies(left);
}

}  // namespace kedge::cuda::KEDGE_CUDA_TARGET

#endif  // KEDGE_COMMON_KERNELS_CUDA_EMULATED_INSTRUCTIONS_H_
