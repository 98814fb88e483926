// Memory with red zones: what is written before or behind it is found when the zones are checked, and by ASan at once.
#ifndef KEDGE_COMMON_KERNELS_CUDA_EMULATED_GUARDED_MEMORY_H_
#define KEDGE_COMMON_KERNELS_CUDA_EMULATED_GUARDED_MEMORY_H_

#include <cstddef>
#include <cstdint>

namespace kedge::cuda::emulated {

// New memory holds 0xff bytes: floats of it are NaN, and what was never written is seen. Aligned to 1,024 bytes and no
// more. Thread-compatible.
class GuardedMemory {
 public:
  explicit GuardedMemory(size_t bytes);
  GuardedMemory(const GuardedMemory&) = delete;
  GuardedMemory& operator=(const GuardedMemory&) = delete;
  ~GuardedMemory();

  uint8_t* data() const { return data_; }
  size_t bytes() const { return bytes_; }
  bool Holds(const void* address, size_t bytes) const;

  // Whether the red zones are as they were made.
  bool IsIntact() const;
  // As new: all of it holds 0xff bytes.
  void Forget();

 private:
  const size_t bytes_;
  uint8_t* whole_;  // zone, data, zone
  uint8_t* data_;
};

}  // namespace kedge::cuda::emulated

#endif  // KEDGE_COMMON_KERNELS_CUDA_EMULATED_GUARDED_MEMORY_H_
