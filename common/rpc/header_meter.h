// How large the headers of HTTP/2 requests are, found in the bytes of a connection and without reading them.
#ifndef KEDGE_COMMON_RPC_HEADER_METER_H_
#define KEDGE_COMMON_RPC_HEADER_METER_H_

#include <array>
#include <cstddef>
#include <cstdint>

namespace kedge {

// Follows what a client sends from frame to frame by the nine bytes with which each begins, and adds up what the frames
// of one block of headers (HEADERS, CONTINUATION) say that they have. Damage is not its business: whoever reads the
// frames finds it. Thread-compatible.
class HeaderMeter {
 public:
  // Twice what gRPC takes (32 KiB), which it says only after it has read all of a header.
  static constexpr uint64_t kMostBytes = 64 << 10;
  static constexpr uint32_t kMostFrames = 16;

  // The next bytes. False, from then on: a block has more bytes or frames than any that would be taken.
  bool Add(const void* bytes, size_t size);

 private:
  // Of the frame whose first bytes are in head_.
  void BeginFrame();

  uint64_t to_pass_ = 24;  // of a payload; at first of the text that opens a connection
  std::array<uint8_t, 9> head_;
  size_t head_size_ = 0;
  uint64_t block_bytes_ = 0;
  uint32_t block_frames_ = 0;
  bool ok_ = true;
};

}  // namespace kedge

#endif  // KEDGE_COMMON_RPC_HEADER_METER_H_
