// A stack of its own that runs when it is switched to: a thread of the emulated device.
#ifndef KEDGE_COMMON_KERNELS_CUDA_EMULATED_FIBER_H_
#define KEDGE_COMMON_KERNELS_CUDA_EMULATED_FIBER_H_

#include <cstddef>

namespace kedge::cuda::emulated {

// Owned by the thread of the operating system that made it, and runs on it alone.
class Fiber {
 public:
  Fiber();                          // the caller itself: where others come back to
  explicit Fiber(void (*entry)());  // runs entry when it is first switched to, which ends with Leave
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;
  ~Fiber();

  // It begins anew when it is next switched to. REQUIRES: it has left, or never ran.
  void Rewind();
  // Runs `to` until somebody switches back. REQUIRES: this fiber runs.
  void SwitchTo(Fiber& to);
  // The same, never to come back.
  [[noreturn]] void Leave(Fiber& to);

 private:
  static void Begin();
  void Switch(Fiber& to, bool for_good);

  void (*const entry_)() = nullptr;
  char* stack_ = nullptr;  // its lower end
  size_t size_ = 0;
  void* position_ = nullptr;
  void* actor_ = nullptr;
  void* fake_stack_ = nullptr;  // of ASan
};

}  // namespace kedge::cuda::emulated

#endif  // KEDGE_COMMON_KERNELS_CUDA_EMULATED_FIBER_H_
