// What a kernel includes: CUDA's words, and the instructions that CUDA C++ has no name for, each as a function. nvcc
// compiles them for a device (ptx.h), g++ for the emulated one (emulated/instructions.h); kernels are the same text.
//
// What a kernel may use, beside plain C++:
//   - what emulated/stand_in/ declares of cuda_runtime.h, cuda_fp16.h, cuda_bf16.h;
//   - the functions below;
//   - dynamic shared memory by SharedMemory(), and no __shared__ variables;
//   - reads and writes of float4 and the like through pointers that are aligned for them, which is checked.
// What it must not do: wait for another block, or spin; use CUDA's approximations (__expf, rsqrtf) or the C library's
// exp, log and the like, whose bits differ between device and host; call the host.
//
// What the emulated device cannot show: memory as other blocks see it (a grid's blocks run one after another; a
// __threadfence orders everything, for TSan as well), bank conflicts, registers, speed, fences between a thread's
// writes and bulk copies, what is read too early before WaitForPrevious, tensor cores' rounding of floats (there is no
// such product here).
#ifndef KEDGE_COMMON_KERNELS_CUDA_DEVICE_H_
#define KEDGE_COMMON_KERNELS_CUDA_DEVICE_H_

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdint>

#include "common/kernels/cuda/target.h"

namespace kedge::cuda::KEDGE_CUDA_TARGET {

// The block's dynamic shared memory, aligned to 1,024 bytes. It holds nothing that can be told when a block begins.
__device__ uint8_t* SharedMemory();

// --- Tensor cores: 16 x 8 sums over 32 inputs, exact. All lanes of a warp call them together ---
// Lane l holds, of the 16 rows of a, in a[0] and a[1] inputs 4 (l % 4) .. + 3 of rows l / 4 and l / 4 + 8, in a[2] and
// a[3] those 16 inputs behind; of the 8 columns of b, b[0] and b[1] the same inputs of column l / 4; of the sums, in
// c[0] and c[1] columns 2 (l % 4) and + 1 of row l / 4, in c[2] and c[3] those of row l / 4 + 8.

// c += a * b.
__device__ void MultiplyAdd(const uint32_t (&a)[4], const uint32_t* b, int (&c)[4]);
// c = kSumAsFloat + a * b. An accumulator that starts as the bits of 1.5 * 2^23 is, as a float, that plus the sum: sums
// are below 2^22.
inline constexpr int kSumAsFloat = 0x4b400000;
__device__ void MultiplyBlock(const uint32_t (&a)[4], const uint32_t* b, int (&c)[4]);

// Four matrices of 8 rows by 16 bytes: lane l names row l % 8 of matrix l / 8, aligned to 16 bytes, in shared memory,
// and gets bytes 4 (l % 4) .. + 3 of row l / 4 of each.
__device__ void LoadFragments(const void* shared, uint32_t (&out)[4]);
// The same of matrices of 8 by 8 halves, turned over: lane l gets column l / 4, rows 2 (l % 4) and + 1.
__device__ void LoadFragmentsTurned(const void* shared, uint32_t (&out)[4]);

// --- Copies of 16 bytes a thread from device to shared memory ---

__device__ void CopyAsync(void* shared, const void* global);
// Closes a group of copies.
__device__ void CommitCopies();
// Returns when all of the thread's groups are done but the last `left`. Other threads see them behind a barrier.
template <int left>
__device__ void WaitForCopies();

// --- Copies of any number of bytes by a warp, a multiple of 16, which end at a barrier in shared memory. All lanes of
// the warp call CopyBulk and ArriveForBytes together: a device has one of them ask for the whole, or each copy its part
// ---

using Barrier = uint64_t;
// A phase ends when so many arrived, and all bytes came that were copied; then the next one begins. Phase 0 is even. A
// warp that copies arrives kCopyArrivals times, a constant of the target.
__device__ void InitBarrier(Barrier* barrier, uint32_t arrivals);
// Behind the last InitBarrier, before the __syncthreads that tells the other threads.
__device__ void PublishBarriers();
__device__ void Arrive(Barrier* barrier);
// The phase ends no earlier than the copy.
__device__ void CopyBulk(void* shared, const void* global, uint32_t bytes, Barrier* barrier);
// Behind the warp's copies of the phase, which are of so many bytes together.
__device__ void ArriveForBytes(Barrier* barrier, uint32_t bytes);
// Returns when the last phase of this parity has ended.
__device__ void WaitForBarrier(Barrier* barrier, uint32_t parity);

// --- Kernels that begin before the one in front of them has ended (LaunchShape::early) ---

// The next kernel may be put on the device.
__device__ void StartNext();
// All that the kernels before this one wrote is there. Every thread of every kernel calls it before it reads what an
// earlier kernel wrote and before it writes anything that one may read: so a kernel's end means the end of all before.
__device__ void WaitForPrevious();

}  // namespace kedge::cuda::KEDGE_CUDA_TARGET

#ifdef __CUDACC__
#include "common/kernels/cuda/ptx.h"
#else
#include "common/kernels/cuda/emulated/instructions.h"
#endif

#endif  // KEDGE_COMMON_KERNELS_CUDA_DEVICE_H_
