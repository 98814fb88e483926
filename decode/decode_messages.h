// The messages of DecodeService to the values of DecodeEngine, and back: all of the service but the call itself.
#ifndef KEDGE_DECODE_DECODE_MESSAGES_H_
#define KEDGE_DECODE_DECODE_MESSAGES_H_

#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/tls/membership.h"
#include "decode/decode_engine.h"
#include "kedge/node/v1/node.pb.h"

namespace kedge {

// kInvalidArgument names the field.
absl::StatusOr<DecodeJob> DecodeJobFromProto(const node::v1::DecodeRequest& request, absl::Time deadline);

// Whether its prefill nodes may be connected to (CheckPeerAddress). kInvalidArgument names the field.
absl::Status CheckCandidates(const node::v1::DecodeRequest& request, const Membership* member);

// Makes messages of a job's events. Called from the engine's thread.
class DecodeMessageSink : public DecodeSink {
 public:
  struct Output {
    std::function<void(node::v1::DecodeResponse)> message;
    std::function<void(const absl::Status&)> end;  // last
  };
  // `numerics_class` and `row_bytes` are the device's.
  DecodeMessageSink(Output output, std::string numerics_class, uint64_t row_bytes)
      : output_(std::move(output)), numerics_class_(std::move(numerics_class)), row_bytes_(row_bytes) {}

  void OnPrefilled(const PrefilledInfo& info) override;
  void OnToken(uint32_t index, const SampledToken& token) override;
  void OnEnd(const absl::Status& status, const FinishedInfo& finished) override;

 private:
  const Output output_;
  const std::string numerics_class_;
  const uint64_t row_bytes_;
};

}  // namespace kedge

#endif  // KEDGE_DECODE_DECODE_MESSAGES_H_
