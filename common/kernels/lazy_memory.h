// Zeroed memory that costs nothing until it is touched.
#ifndef KEDGE_COMMON_KERNELS_LAZY_MEMORY_H_
#define KEDGE_COMMON_KERNELS_LAZY_MEMORY_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"

namespace kedge {

// Owns an anonymous map; page aligned. A large budget of KV pages is only address space until rows are written.
// Thread-compatible.
class LazyMemory {
 public:
  // kResourceExhausted if the address space cannot be had.
  static absl::StatusOr<LazyMemory> Allocate(size_t bytes);

  LazyMemory() = default;
  LazyMemory(LazyMemory&& other) noexcept;
  LazyMemory& operator=(LazyMemory&& other) noexcept;
  ~LazyMemory();

  uint8_t* data() { return data_; }
  const uint8_t* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace kedge

#endif  // KEDGE_COMMON_KERNELS_LAZY_MEMORY_H_
