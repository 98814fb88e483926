// CUDA's atomics, relaxed as on a device, and its fences. Compiled with the kernel, so that TSan sees them.
#ifndef KEDGE_COMMON_KERNELS_CUDA_EMULATED_ATOMICS_H_
#define KEDGE_COMMON_KERNELS_CUDA_EMULATED_ATOMICS_H_

#include <cstdint>

namespace kedge::cuda::emulated {

// Returns what was there before.
template <typename T, typename Change>
T Exchange(T* at, Change change) {
  T old;
  __atomic_load(at, &old, __ATOMIC_RELAXED);
  for (T next = change(old); !__atomic_compare_exchange(at, &old, &next, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
       next = change(old)) {
  }
  return old;
}

// Orders what a thread did before with what another does behind its own fence, as if each fence saw all before it.
void Fence();

}  // namespace kedge::cuda::emulated

template <typename T>
T atomicAdd(T* at, T value) {
  return kedge::cuda::emulated::Exchange(at, [value](T old) { return old + value; });
}
template <typename T>
T atomicSub(T* at, T value) {
  return kedge::cuda::emulated::Exchange(at, [value](T old) { return old - value; });
}
template <typename T>
T atomicMax(T* at, T value) {
  return kedge::cuda::emulated::Exchange(at, [value](T old) { return old < value ? value : old; });
}
template <typename T>
T atomicMin(T* at, T value) {
  return kedge::cuda::emulated::Exchange(at, [value](T old) { return value < old ? value : old; });
}
template <typename T>
T atomicAnd(T* at, T value) {
  return kedge::cuda::emulated::Exchange(at, [value](T old) { return old & value; });
}
template <typename T>
T atomicOr(T* at, T value) {
  return kedge::cuda::emulated::Exchange(at, [value](T old) { return old | value; });
}
template <typename T>
T atomicXor(T* at, T value) {
  return kedge::cuda::emulated::Exchange(at, [value](T old) { return old ^ value; });
}
template <typename T>
T atomicExch(T* at, T value) {
  return kedge::cuda::emulated::Exchange(at, [value](T) { return value; });
}
template <typename T>
T atomicCAS(T* at, T expected, T value) {
  return kedge::cuda::emulated::Exchange(at, [=](T old) { return old == expected ? value : old; });
}
// Counts up to `last`, then from 0 again.
inline unsigned atomicInc(unsigned* at, unsigned last) {
  return kedge::cuda::emulated::Exchange(at, [last](unsigned old) { return old >= last ? 0 : old + 1; });
}

inline void __threadfence() { kedge::cuda::emulated::Fence(); }
inline void __threadfence_block() { kedge::cuda::emulated::Fence(); }

#endif  // KEDGE_COMMON_KERNELS_CUDA_EMULATED_ATOMICS_H_
