// Memory that costs nothing until it is touched: zeroed, or a file's.
#ifndef KEDGE_COMMON_KERNELS_LAZY_MEMORY_H_
#define KEDGE_COMMON_KERNELS_LAZY_MEMORY_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"

namespace kedge {

// Owns a map, anonymous or of a file; page aligned. A large budget of KV pages is only address space until rows are
// written. Thread-compatible.
class LazyMemory {
 public:
  // kResourceExhausted if the address space cannot be had.
  static absl::StatusOr<LazyMemory> Allocate(size_t bytes);
  // Bytes [offset, offset + bytes) of a file, shared with whoever maps it; offset is a multiple of the page size.
  static absl::StatusOr<LazyMemory> Map(int file, size_t offset, size_t bytes, bool writable);

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
