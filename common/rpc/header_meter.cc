// Tested by header_meter_test.cc.
#include "common/rpc/header_meter.h"

#include <algorithm>
#include <cstring>

namespace kedge {
namespace {

constexpr uint8_t kHeaders = 1;
constexpr uint8_t kContinuation = 9;

}  // namespace

bool HeaderMeter::Add(const void* bytes, size_t size) {
  const auto* next = static_cast<const uint8_t*>(bytes);
  while (ok_ && size > 0) {
    const size_t wanted = to_pass_ > 0 ? static_cast<size_t>(to_pass_) : head_.size() - head_size_;
    const size_t count = std::min(size, wanted);
    if (to_pass_ > 0) {
      to_pass_ -= count;
    } else {
      std::memcpy(&head_[head_size_], next, count);
      head_size_ += count;
      if (head_size_ == head_.size()) BeginFrame();
    }
    next += count;
    size -= count;
  }
  return ok_;
}

void HeaderMeter::BeginFrame() {
  head_size_ = 0;
  to_pass_ = uint64_t{head_[0]} << 16 | uint64_t{head_[1]} << 8 | head_[2];
  const uint8_t type = head_[3];
  if (type != kHeaders && type != kContinuation) return;
  if (type == kHeaders) block_bytes_ = block_frames_ = 0;
  block_bytes_ += to_pass_;
  ++block_frames_;
  ok_ = block_bytes_ <= kMostBytes && block_frames_ <= kMostFrames;
}

}  // namespace kedge
