// Tested by frame_meter_test.cc.
#include "common/rpc/frame_meter.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace kedge {
namespace {

enum Type : uint8_t { kData = 0, kHeaders = 1, kReset = 3, kContinuation = 9 };
constexpr uint8_t kEndsStream = 0x1;
constexpr uint8_t kPadded = 0x8;

uint32_t BigEndian(const uint8_t* bytes) {
  return uint32_t{bytes[0]} << 24 | uint32_t{bytes[1]} << 16 | uint32_t{bytes[2]} << 8 | bytes[3];
}

}  // namespace

FrameMeter::Excess FrameMeter::Add(const void* bytes, size_t size) {
  const auto* next = static_cast<const uint8_t*>(bytes);
  while (excess_ == Excess::kNone && size > 0) {
    const size_t wanted = to_pass_ > 0 ? static_cast<size_t>(to_pass_) : head_.size() - head_size_;
    const size_t count = std::min(size, wanted);
    if (to_pass_ > 0) {
      if (in_data_) AddData(next, count);
      to_pass_ -= count;
      if (to_pass_ == 0) EndFrame();
    } else {
      std::memcpy(&head_[head_size_], next, count);
      head_size_ += count;
      if (head_size_ == head_.size()) BeginFrame();
    }
    next += count;
    size -= count;
  }
  return excess_;
}

void FrameMeter::BeginFrame() {
  head_size_ = 0;
  to_pass_ = uint64_t{head_[0]} << 16 | uint64_t{head_[1]} << 8 | head_[2];
  const uint8_t type = head_[3];
  stream_ = BigEndian(&head_[5]) & 0x7fffffff;
  in_data_ = type == kData;
  if (type == kReset) Forget(stream_);
  if (in_data_) {
    pads_ = (head_[4] & kPadded) != 0;
    padding_ = 0;
    const auto found = begun_.find(stream_);
    messages_ = found == begun_.end() ? Messages() : found->second;
  } else if (type == kHeaders || type == kContinuation) {
    if (type == kHeaders) block_bytes_ = block_frames_ = 0;
    block_bytes_ += to_pass_;
    ++block_frames_;
    if (block_bytes_ > kMostHeaderBytes || block_frames_ > kMostHeaderFrames) excess_ = Excess::kHeaders;
  }
  if (to_pass_ == 0) EndFrame();
}

void FrameMeter::EndFrame() {
  const bool is_data = std::exchange(in_data_, false);
  const bool ends_call = (head_[4] & kEndsStream) != 0;
  if (!is_data) {
    if (head_[3] == kHeaders && ends_call) Forget(stream_);
  } else if (messages_.IsBetween() || ends_call) {
    unread_ -= messages_.came;
    begun_.erase(stream_);
  } else {
    begun_[stream_] = messages_;
    if (begun_.size() > kMostBegun) excess_ = Excess::kCalls;
  }
}

void FrameMeter::Forget(uint32_t stream) {
  const auto found = begun_.find(stream);
  if (found == begun_.end()) return;
  unread_ -= found->second.came;
  begun_.erase(found);
}

// REQUIRES: `size` is at most to_pass_, from which it is not yet taken.
void FrameMeter::AddData(const uint8_t* bytes, size_t size) {
  uint64_t left = to_pass_;
  if (pads_) {
    padding_ = *bytes++;
    --size, --left;
    pads_ = false;
  }
  size = std::min<uint64_t>(size, left - std::min(left, padding_));
  while (size > 0) {
    size_t count = std::min<size_t>(size, messages_.left);
    if (messages_.left > 0) {
      messages_.left -= static_cast<uint32_t>(count);
      messages_.came += static_cast<uint32_t>(count);
      unread_ += count;
      if (messages_.left == 0) unread_ -= std::exchange(messages_.came, 0);
    } else {
      count = std::min(size, messages_.prefix.size() - messages_.prefix_size);
      std::memcpy(&messages_.prefix[messages_.prefix_size], bytes, count);
      messages_.prefix_size += static_cast<uint32_t>(count);
      if (messages_.prefix_size == messages_.prefix.size()) {
        messages_.prefix_size = 0;
        messages_.left = BigEndian(&messages_.prefix[1]);
        if (messages_.left > kMostMessage) excess_ = Excess::kMessage;
      }
    }
    bytes += count;
    size -= count;
  }
}

}  // namespace kedge
