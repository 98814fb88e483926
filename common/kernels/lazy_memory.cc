// mmap without reservation: the kernel gives pages when they are first written.
// Tested by lazy_memory_test.cc.
#include "common/kernels/lazy_memory.h"

#include <sys/mman.h>

#include <utility>

#include "absl/strings/str_cat.h"

namespace kedge {
namespace {
constexpr size_t kHugePage = size_t{2} << 20;  // fewer entries of the translation buffer for what is streamed
}

absl::StatusOr<LazyMemory> LazyMemory::Allocate(size_t bytes) {
  LazyMemory memory;
  if (bytes == 0) return memory;
  void* map = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (map == MAP_FAILED) {
    return absl::ResourceExhaustedError(absl::StrCat("cannot map ", bytes, " bytes of memory"));
  }
  if (bytes >= kHugePage) madvise(map, bytes, MADV_HUGEPAGE);
  memory.data_ = static_cast<uint8_t*>(map);
  memory.size_ = bytes;
  return memory;
}

absl::StatusOr<LazyMemory> LazyMemory::Map(int file, size_t offset, size_t bytes, bool writable) {
  const int access = writable ? PROT_READ | PROT_WRITE : PROT_READ;
  void* map = mmap(nullptr, bytes, access, MAP_SHARED, file, static_cast<off_t>(offset));
  if (map == MAP_FAILED) return absl::ResourceExhaustedError(absl::StrCat("cannot map ", bytes, " bytes of a file"));
  LazyMemory memory;
  memory.data_ = static_cast<uint8_t*>(map);
  memory.size_ = bytes;
  return memory;
}

LazyMemory::LazyMemory(LazyMemory&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

LazyMemory& LazyMemory::operator=(LazyMemory&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

LazyMemory::~LazyMemory() {
  if (data_ != nullptr) munmap(data_, size_);
}

}  // namespace kedge
