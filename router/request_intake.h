// What clients' bytes pass before they are requests.
#ifndef KEDGE_ROUTER_REQUEST_INTAKE_H_
#define KEDGE_ROUTER_REQUEST_INTAKE_H_

#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/byte_budget.h"
#include "common/rpc/wire_limits.h"
#include "grpcpp/impl/codegen/proto_utils.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/proto_buffer_reader.h"
#include "router/parse_queue.h"
#include "router/request_limits.h"

namespace kedge {

// Bytes are held in a budget, wait to be read, and are counted before they are read: so a request costs the process a
// small multiple of what came, and what is too much is refused at once. Thread-safe.
struct RequestIntake {
  // `memory`: bytes for what clients sent and what they have not taken yet; half of them may wait to be read.
  RequestIntake(int parser_threads, uint64_t memory, uint32_t context_length)
      : budget(memory), limits(RequestLimits(context_length)), queue(parser_threads, memory / 2) {}

  ByteBudget budget;
  const WireLimits limits;
  ParseQueue queue;  // goes first: what waits may hold of the budget
};

// kInvalidArgument names the field that has too much, or says that these bytes are no such message.
template <typename Message>
absl::Status ReadRequest(const WireLimits& limits, grpc::ByteBuffer bytes, Message* request) {
  {
    grpc::ProtoBufferReader reader(&bytes);
    if (const absl::Status status = limits.Check(Message::descriptor(), &reader); !status.ok()) return status;
  }
  grpc::ProtoBufferReader reader(&bytes);
  if (request->ParseFromZeroCopyStream(&reader)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("the request is not a ", Message::descriptor()->name(), ", or a string in it is not UTF-8"));
}

// The bytes of a call's request, which gRPC would keep until the call is over.
inline grpc::ByteBuffer TakeBytes(const grpc::ByteBuffer* request) {
  grpc::ByteBuffer bytes;
  bytes.Swap(const_cast<grpc::ByteBuffer*>(request));
  return bytes;
}

template <typename Message>
grpc::ByteBuffer ToBytes(const Message& message) {
  grpc::ByteBuffer bytes;
  bool own_buffer = false;
  grpc::SerializationTraits<Message>::Serialize(message, &bytes, &own_buffer);
  return bytes;
}

}  // namespace kedge

#endif  // KEDGE_ROUTER_REQUEST_INTAKE_H_
