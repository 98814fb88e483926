// Chat messages of a request as a conversation.
#ifndef KEDGE_ROUTER_CHAT_REQUEST_H_
#define KEDGE_ROUTER_CHAT_REQUEST_H_

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/tokenizer/conversation.h"
#include "kedge/inference/v1/inference.pb.h"

namespace kedge {

// Copies the fields and checks none, but for how many there are, and what JSON can not hold in template_arguments:
// kInvalidArgument begins with the field's path. A whole number is an integer to the template.
absl::StatusOr<Conversation> ToConversation(const inference::v1::ChatMessages& messages, absl::Time now);

}  // namespace kedge

#endif  // KEDGE_ROUTER_CHAT_REQUEST_H_
