// What a decode node may say in answer to one call.
#ifndef KEDGE_ROUTER_ANSWER_CHECK_H_
#define KEDGE_ROUTER_ANSWER_CHECK_H_

#include <cstdint>
#include <optional>

#include "absl/status/status.h"
#include "kedge/node/v1/node.pb.h"
#include "router/router_request.h"

namespace kedge {

// One call, as far as its messages are measured by it.
struct AskedFor {
  const RouterRequest* request = nullptr;
  uint32_t vocab_size = 0;                        // token ids are below it
  size_t given = 0;                               // tokens of the answer so far
  size_t given_at_start = 0;                      // those that the call began with
  bool has_prefilled = false;                     // it has told already how its rows came
  std::optional<node::v1::SalientChoice> chosen;  // the request's choice, if one was made already
};

// kDataLoss names the field and what is wrong with it: all of the message is checked before any of it is believed.
absl::Status CheckAnswer(const node::v1::DecodeResponse& message, const AskedFor& asked);

}  // namespace kedge

#endif  // KEDGE_ROUTER_ANSWER_CHECK_H_
