// Values of the node protos to those of the engines, and back.
#ifndef KEDGE_COMMON_RPC_CONVERT_H_
#define KEDGE_COMMON_RPC_CONVERT_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/anchor/content.h"
#include "common/engine/node_stats.h"
#include "common/model/sampler.h"
#include "kedge/node/v1/node.pb.h"

namespace kedge {

// kInvalidArgument names the field, e.g. "content.policy: …". What the types alone don't say is CheckContent's to check.
absl::StatusOr<Content> ContentFromProto(const node::v1::Content& proto);
node::v1::Content ContentToProto(const Content& content, const std::string& fingerprint);

SamplingParams SamplingFromProto(const node::v1::Sampling& proto);
node::v1::TokenLogprob LogprobToProto(const Logprob& logprob);

// A duration as it goes over the wire: rounded up, at least 0 and at most kMostMilliseconds.
uint32_t WireMilliseconds(absl::Duration duration);

node::v1::Heartbeat HeartbeatFrom(const NodeStats& stats, uint64_t engine_turns);

}  // namespace kedge

#endif  // KEDGE_COMMON_RPC_CONVERT_H_
