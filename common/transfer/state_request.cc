// Tested by state_request_test.cc and, with bytes from outside, by tests/node_fuzzer.cc.
#include "common/transfer/state_request.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/rpc/convert.h"
#include "common/rpc/protocol.h"
#include "common/rpc/ranges.h"
#include "common/rpc/request_id.h"

namespace kedge {

node::v1::PrefillRequest StateRequestToProto(const StateRequest& request) {
  node::v1::PrefillRequest proto;
  proto.set_request_id(request.request_id);
  *proto.mutable_content() = ContentToProto(request.content, request.fingerprint);
  proto.set_kv_type(request.kv_type);
  RangesToProto(request.held, proto.mutable_held());
  proto.set_answer_ms(WireMilliseconds(request.answer_time));
  return proto;
}

absl::StatusOr<StateRequest> StateRequestFromProto(const node::v1::PrefillRequest& proto) {
  KEDGE_RETURN_IF_ERROR(CheckRequestId(proto.request_id(), "request_id"));
  if (proto.answer_ms() > kMostMilliseconds) {
    return absl::InvalidArgumentError(absl::StrCat("answer_ms: is ", proto.answer_ms(), ", and at most ",
                                                   kMostMilliseconds));
  }
  KEDGE_ASSIGN_OR_RETURN(Content content, ContentFromProto(proto.content()));
  return StateRequest{.request_id = proto.request_id(),
                      .content = std::move(content),
                      .fingerprint = proto.content().fingerprint(),
                      .kv_type = proto.kv_type(),
                      .held = RangesFromProto(proto.held()),
                      .answer_time = absl::Milliseconds(proto.answer_ms())};
}

}  // namespace kedge
