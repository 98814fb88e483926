// Kernels are compiled twice: by nvcc for devices, by g++ for the emulated one, and a program may hold both. What is
// written in this namespace exists once for each.
#ifndef KEDGE_COMMON_KERNELS_CUDA_TARGET_H_
#define KEDGE_COMMON_KERNELS_CUDA_TARGET_H_

#ifdef __CUDACC__
#define KEDGE_CUDA_TARGET for_devices
#else
#define KEDGE_CUDA_TARGET for_emulation
#endif

namespace kedge::cuda {
inline namespace KEDGE_CUDA_TARGET {}
}  // namespace kedge::cuda

#endif  // KEDGE_COMMON_KERNELS_CUDA_TARGET_H_
