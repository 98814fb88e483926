// Bytes held by reference: passed on, sent and staged without being copied into a message.
#ifndef KEDGE_COMMON_BASE_PAYLOAD_H_
#define KEDGE_COMMON_BASE_PAYLOAD_H_

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/types/span.h"

namespace kedge {

// `bytes` live and stay unchanged for as long as any copy of `owner` does. Thread-compatible; copies are cheap.
struct Payload {
  std::shared_ptr<const void> owner;
  absl::Span<const uint8_t> bytes;

  static Payload Own(std::vector<uint8_t> data) {
    auto owned = std::make_shared<const std::vector<uint8_t>>(std::move(data));
    return {owned, *owned};
  }
};

}  // namespace kedge

#endif  // KEDGE_COMMON_BASE_PAYLOAD_H_
