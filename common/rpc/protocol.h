// What the processes of a cluster must agree on: the version of kedge.node.v1 and of the segments that travel with it,
// and names.
#ifndef KEDGE_COMMON_RPC_PROTOCOL_H_
#define KEDGE_COMMON_RPC_PROTOCOL_H_

#include <cstdint>

namespace kedge {

// Raised with every change that an older node would misread, or choose other rows by. Checked when a node registers.
inline constexpr uint32_t kProtocolVersion = 8;

// Times that nodes tell are durations in milliseconds, at most a day: clocks of two machines are never compared.
inline constexpr uint32_t kMostMilliseconds = 86'400'000;

// What the health service of a node knows its role by.
inline constexpr char kPrefillServiceName[] = "kedge.node.v1.PrefillService";
inline constexpr char kDecodeServiceName[] = "kedge.node.v1.DecodeService";

}  // namespace kedge

#endif  // KEDGE_COMMON_RPC_PROTOCOL_H_
