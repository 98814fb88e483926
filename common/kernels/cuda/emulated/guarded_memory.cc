// Tested by guarded_memory_test.cc.
#include "common/kernels/cuda/emulated/guarded_memory.h"

#include <cstdlib>
#include <cstring>

#include "common/base/check.h"
#include "common/kernels/cuda/emulated/sanitizers.h"

namespace kedge::cuda::emulated {
namespace {

constexpr size_t kAlignment = 1024;
constexpr size_t kZoneBytes = 1024;  // a whole number of alignments
constexpr uint8_t kZoneByte = 0xa5;

// Asked after every kernel, so in words and with no branch: the compiler makes vectors of it. And no memcmp, which TSan
// would see.
bool IsZone(const uint8_t* begin) {
  uint64_t wrong = 0;
  for (size_t i = 0; i < kZoneBytes; i += sizeof(uint64_t)) {
    uint64_t word;
    std::memcpy(&word, begin + i, sizeof(word));
    wrong |= word ^ kZoneByte * 0x0101010101010101u;
  }
  return wrong == 0;
}

}  // namespace

GuardedMemory::GuardedMemory(size_t bytes) : bytes_(bytes) {
  // One alignment more, so that the memory can begin at an odd multiple of it: code that counts on more would fail.
  const size_t whole = (bytes + 2 * kZoneBytes + 2 * kAlignment - 1) / kAlignment * kAlignment + kAlignment;
  whole_ = static_cast<uint8_t*>(std::aligned_alloc(kAlignment, whole));
  KEDGE_CHECK(whole_ != nullptr);
  const bool is_odd = reinterpret_cast<uintptr_t>(whole_) / kAlignment % 2 == 1;
  data_ = whole_ + kZoneBytes + (is_odd ? kAlignment : 0);
  std::memset(whole_, kZoneByte, data_ - whole_);
  Forget();
  std::memset(data_ + bytes, kZoneByte, kZoneBytes);
  if (!HasAddressSanitizer()) return;
  __asan_poison_memory_region(whole_, data_ - whole_);
  __asan_poison_memory_region(data_ + bytes, kZoneBytes);
}

GuardedMemory::~GuardedMemory() {
  if (HasAddressSanitizer()) {
    __asan_unpoison_memory_region(whole_, data_ - whole_);
    __asan_unpoison_memory_region(data_ + bytes_, kZoneBytes);
  }
  std::free(whole_);
}

void GuardedMemory::Forget() { std::memset(data_, 0xff, bytes_); }

bool GuardedMemory::Holds(const void* address, size_t bytes) const {
  const uintptr_t begin = reinterpret_cast<uintptr_t>(data_), at = reinterpret_cast<uintptr_t>(address);
  return at >= begin && at - begin <= bytes_ && bytes <= bytes_ - (at - begin);
}

bool GuardedMemory::IsIntact() const {
  if (HasAddressSanitizer()) return true;  // which let nobody write there, nor read
  return IsZone(data_ - kZoneBytes) && IsZone(data_ + bytes_);
}

}  // namespace kedge::cuda::emulated
