// How large the headers and messages of HTTP/2 requests are, found in the bytes of a connection and without reading
// them.
#ifndef KEDGE_COMMON_RPC_FRAME_METER_H_
#define KEDGE_COMMON_RPC_FRAME_METER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>

namespace kedge {

// Follows what a client sends from frame to frame by the nine bytes with which each begins. It adds up what the frames
// of one block of headers (HEADERS, CONTINUATION) say that they have, and looks at what each message of a call (DATA)
// says of its length in the five bytes before it. Damage is not its business: whoever reads the frames finds it.
// Thread-compatible.
class FrameMeter {
 public:
  // Twice what gRPC takes (32 KiB), which it says only after it has read all of a header.
  static constexpr uint64_t kMostHeaderBytes = 64 << 10;
  static constexpr uint32_t kMostHeaderFrames = 16;
  // Twice what any listener takes (RpcServerOptions::max_receive_bytes), which gRPC says only after it has all of it.
  static constexpr uint32_t kMostMessage = 128 << 20;

  // Of calls whose messages have begun. No listener lets more than half as many run (RpcServerOptions::max_streams);
  // those that the other side ended before their message was complete count until the client ends or resets them too.
  static constexpr size_t kMostBegun = 8192;

  // kUnread: too much of all connections together. Add never returns it; FrameGuard does.
  enum class Excess { kNone, kHeaders, kMessage, kCalls, kUnread };

  // The next bytes. Anything but kNone, from then on: what is more than any listener would take.
  Excess Add(const void* bytes, size_t size);

  // Bytes of messages that are not complete yet, of calls that the client has neither ended nor reset: what the other
  // side does is not seen here.
  uint64_t unread() const { return unread_; }

 private:
  // What of a call's messages has come: the begin of the next one's prefix, or a part of the message.
  struct Messages {
    std::array<uint8_t, 5> prefix = {};  // a flag, and the length with its highest byte first
    uint32_t prefix_size = 0;
    uint32_t left = 0;  // of the message behind it
    uint32_t came = 0;  // of it
    bool IsBetween() const { return prefix_size == 0 && left == 0; }
  };

  // Of the frame whose first bytes are in head_.
  void BeginFrame();
  void EndFrame();
  // No message of the call will be completed, if one has begun.
  void Forget(uint32_t stream);
  void AddData(const uint8_t* bytes, size_t size);

  uint64_t to_pass_ = 24;  // of a payload; at first of the text that opens a connection
  std::array<uint8_t, 9> head_ = {};
  size_t head_size_ = 0;
  uint64_t block_bytes_ = 0;
  uint32_t block_frames_ = 0;
  bool in_data_ = false;  // of a frame of the following stream
  bool pads_ = false;     // its next byte says how many of its last ones say nothing
  uint64_t padding_ = 0;  // that many
  uint32_t stream_ = 0;
  Messages messages_;                   // of that stream
  std::map<uint32_t, Messages> begun_;  // of those whose message has begun, as it was before this frame
  uint64_t unread_ = 0;
  Excess excess_ = Excess::kNone;
};

}  // namespace kedge

#endif  // KEDGE_COMMON_RPC_FRAME_METER_H_
