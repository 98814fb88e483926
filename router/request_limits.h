// How much of everything a client's request may have.
#ifndef KEDGE_ROUTER_REQUEST_LIMITS_H_
#define KEDGE_ROUTER_REQUEST_LIMITS_H_

#include <cstdint>

#include "common/rpc/wire_limits.h"

namespace kedge {

inline constexpr uint32_t kMaxStopStrings = 16;
inline constexpr uint32_t kMaxStopBytes = 1024;
// Of Tokenize's answer and of Detokenize's request, and of the text of either: 1 MiB both.
inline constexpr uint32_t kMaxListedTokens = 1 << 18;
inline constexpr uint32_t kMaxTextBytes = 1 << 20;
// Of a chat: messages, and again tools, calls, and values of template arguments.
inline constexpr uint32_t kMaxChatParts = 1 << 14;
// A text in hand while it is read takes up to so many times its bytes: its tokens, with places, as their list grows.
inline constexpr uint32_t kReadingFactor = 12;

// Of all messages that clients send. What they do not bound is bounded by the size of a message, 16 MiB.
WireLimits RequestLimits(uint32_t context_length);

}  // namespace kedge

#endif  // KEDGE_ROUTER_REQUEST_LIMITS_H_
