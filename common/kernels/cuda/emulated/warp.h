// Barriers, shuffles, votes and sums of CUDA. Those of a warp are meetings: all lanes of the mask that have not ended
// come to the same call before one goes on. Only __syncthreads and __syncwarp order memory, as CUDA has it: a kernel
// that takes a shuffle for a barrier is a race for TSan.
#ifndef KEDGE_COMMON_KERNELS_CUDA_EMULATED_WARP_H_
#define KEDGE_COMMON_KERNELS_CUDA_EMULATED_WARP_H_

#include <cstdint>
#include <cstring>
#include <type_traits>

namespace kedge::cuda::emulated {

// All threads of the block that have not ended; returns how many came with a true predicate.
int MeetBlock(const char* what, bool predicate);
void SyncWarp(uint32_t mask);
// The bits of lane `source`; all ones where it is not in the mask, or has ended.
uint64_t Shuffle(uint32_t mask, const char* what, uint64_t bits, int source);
// The lanes that came with a true predicate; `came` gets all that came.
uint32_t Vote(uint32_t mask, const char* what, bool predicate, uint32_t* came);
enum class Join { kAdd, kMin, kMax, kAnd, kOr, kXor };
int64_t Reduce(uint32_t mask, const char* what, int64_t value, Join join);
int Lane();

template <typename T>
T ShuffleAs(uint32_t mask, const char* what, T value, int source) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= 8);
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  bits = Shuffle(mask, what, bits, source);
  std::memcpy(&value, &bits, sizeof(T));
  return value;
}

}  // namespace kedge::cuda::emulated

inline void __syncthreads() { kedge::cuda::emulated::MeetBlock("__syncthreads", false); }
inline int __syncthreads_count(int predicate) {
  return kedge::cuda::emulated::MeetBlock("__syncthreads_count", predicate != 0);
}
inline int __syncthreads_or(int predicate) {
  return kedge::cuda::emulated::MeetBlock("__syncthreads_or", predicate != 0) > 0;
}
inline int __syncthreads_and(int predicate) {
  return kedge::cuda::emulated::MeetBlock("__syncthreads_and", predicate == 0) == 0;
}
inline void __syncwarp(unsigned mask = ~0u) { kedge::cuda::emulated::SyncWarp(mask); }

// Within groups of `width` lanes, a power of two. A lane whose source lies outside its group gets its own value.
template <typename T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32) {
  const int lane = kedge::cuda::emulated::Lane(), group = lane & ~(width - 1);
  return kedge::cuda::emulated::ShuffleAs(mask, "__shfl_sync", value, group + (source & (width - 1)));
}
template <typename T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32) {
  const int lane = kedge::cuda::emulated::Lane(), in_group = lane & (width - 1);
  const int source = static_cast<int>(delta) <= in_group ? lane - static_cast<int>(delta) : lane;
  return kedge::cuda::emulated::ShuffleAs(mask, "__shfl_up_sync", value, source);
}
template <typename T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32) {
  const int lane = kedge::cuda::emulated::Lane(), in_group = lane & (width - 1);
  const int source = in_group + static_cast<int>(delta) < width ? lane + static_cast<int>(delta) : lane;
  return kedge::cuda::emulated::ShuffleAs(mask, "__shfl_down_sync", value, source);
}
template <typename T>
T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = 32) {
  const int lane = kedge::cuda::emulated::Lane(), source = lane ^ lanes;
  // A group before one's own may be read, one behind it may not.
  const bool is_behind = source >= (lane & ~(width - 1)) + width;
  return kedge::cuda::emulated::ShuffleAs(mask, "__shfl_xor_sync", value, is_behind ? lane : source);
}

inline unsigned __ballot_sync(unsigned mask, int predicate) {
  uint32_t came;
  return kedge::cuda::emulated::Vote(mask, "__ballot_sync", predicate != 0, &came);
}
inline int __any_sync(unsigned mask, int predicate) {
  uint32_t came;
  return kedge::cuda::emulated::Vote(mask, "__any_sync", predicate != 0, &came) != 0;
}
inline int __all_sync(unsigned mask, int predicate) {
  uint32_t came;
  const uint32_t yes = kedge::cuda::emulated::Vote(mask, "__all_sync", predicate != 0, &came);
  return yes == came;
}

#define KEDGE_CUDA_REDUCE(name, join, type)                                                                         \
  inline type name(unsigned mask, type value) {                                                                     \
    return static_cast<type>(kedge::cuda::emulated::Reduce(mask, #name, value, kedge::cuda::emulated::Join::join)); \
  }
KEDGE_CUDA_REDUCE(__reduce_add_sync, kAdd, int)
KEDGE_CUDA_REDUCE(__reduce_add_sync, kAdd, unsigned)
KEDGE_CUDA_REDUCE(__reduce_min_sync, kMin, int)
KEDGE_CUDA_REDUCE(__reduce_min_sync, kMin, unsigned)
KEDGE_CUDA_REDUCE(__reduce_max_sync, kMax, int)
KEDGE_CUDA_REDUCE(__reduce_max_sync, kMax, unsigned)
KEDGE_CUDA_REDUCE(__reduce_and_sync, kAnd, unsigned)
KEDGE_CUDA_REDUCE(__reduce_or_sync, kOr, unsigned)
KEDGE_CUDA_REDUCE(__reduce_xor_sync, kXor, unsigned)
#undef KEDGE_CUDA_REDUCE

#endif  // KEDGE_COMMON_KERNELS_CUDA_EMULATED_WARP_H_
