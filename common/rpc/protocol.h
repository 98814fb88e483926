// The version of kedge.node.v1 and of the segments that travel with it.
#ifndef KEDGE_COMMON_RPC_PROTOCOL_H_
#define KEDGE_COMMON_RPC_PROTOCOL_H_

#include <cstdint>

namespace kedge {

// Raised with every change that an older node would misread. Checked when a node registers.
inline constexpr uint32_t kProtocolVersion = 5;

}  // namespace kedge

#endif  // KEDGE_COMMON_RPC_PROTOCOL_H_
