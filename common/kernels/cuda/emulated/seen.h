// Reads and writes that the device makes for a thread of a kernel, as calls, so that sanitizers see them: files of the
// device are compiled without TSan, and compilers make no call of a small memcpy.
#ifndef KEDGE_COMMON_KERNELS_CUDA_EMULATED_SEEN_H_
#define KEDGE_COMMON_KERNELS_CUDA_EMULATED_SEEN_H_

#include <cstddef>
#include <cstdint>

namespace kedge::cuda::emulated {

void SeenCopy(void* to, const void* from, size_t bytes);
void SeenFill(void* to, uint8_t value, size_t bytes);

}  // namespace kedge::cuda::emulated

#endif  // KEDGE_COMMON_KERNELS_CUDA_EMULATED_SEEN_H_
