// What sanitizers must be told of fibers and of memory that is nobody's. Their functions are weak: they are there when
// the program is linked with the sanitizer, whatever this file was compiled with, and nothing happens otherwise.
#ifndef KEDGE_COMMON_KERNELS_CUDA_EMULATED_SANITIZERS_H_
#define KEDGE_COMMON_KERNELS_CUDA_EMULATED_SANITIZERS_H_

#include <cstddef>

extern "C" {
[[gnu::weak]] void* __tsan_get_current_fiber();
[[gnu::weak]] void* __tsan_create_fiber(unsigned flags);
[[gnu::weak]] void __tsan_destroy_fiber(void* fiber);
[[gnu::weak]] void __tsan_switch_to_fiber(void* fiber, unsigned flags);
[[gnu::weak]] void __tsan_acquire(void* address);
[[gnu::weak]] void __tsan_release(void* address);
[[gnu::weak]] void AnnotateIgnoreWritesBegin(const char* file, int line);  // of TSan, reads as well
[[gnu::weak]] void AnnotateIgnoreWritesEnd(const char* file, int line);
[[gnu::weak]] void __sanitizer_start_switch_fiber(void** save, const void* stack, size_t size);
[[gnu::weak]] void __sanitizer_finish_switch_fiber(void* saved, const void** old_stack, size_t* old_size);
[[gnu::weak]] void __asan_poison_memory_region(const volatile void* address, size_t size);
[[gnu::weak]] void __asan_unpoison_memory_region(const volatile void* address, size_t size);
}

namespace kedge::cuda::emulated {

inline bool HasThreadSanitizer() { return &__tsan_create_fiber != nullptr; }
inline bool HasAddressSanitizer() { return &__asan_poison_memory_region != nullptr; }

// What was done before Release(sync) is done before what comes behind an Acquire(sync) that follows it.
inline void Acquire(char& sync) {
  if (HasThreadSanitizer()) __tsan_acquire(&sync);
}
inline void Release(char& sync) {
  if (HasThreadSanitizer()) __tsan_release(&sync);
}

// As long as it lives, TSan looks away from what the running thread does, memory taken and given back included: for
// what the device itself remembers of its threads.
class Unseen {
 public:
  Unseen() {
    if (HasThreadSanitizer()) AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
  }
  ~Unseen() {
    if (HasThreadSanitizer()) AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
  }
  Unseen(const Unseen&) = delete;
  Unseen& operator=(const Unseen&) = delete;
};

// One of the threads that TSan tells apart. None without TSan.
inline void* NewActor() { return HasThreadSanitizer() ? __tsan_create_fiber(0) : nullptr; }
inline void* RunningActor() { return HasThreadSanitizer() ? __tsan_get_current_fiber() : nullptr; }
inline void BecomeActor(void* actor) {
  constexpr unsigned kNoOrder = 1;  // a switch orders nothing: barriers and streams do
  if (HasThreadSanitizer()) __tsan_switch_to_fiber(actor, kNoOrder);
}
inline void DeleteActor(void* actor) {
  if (HasThreadSanitizer()) __tsan_destroy_fiber(actor);
}

}  // namespace kedge::cuda::emulated

#endif  // KEDGE_COMMON_KERNELS_CUDA_EMULATED_SANITIZERS_H_
