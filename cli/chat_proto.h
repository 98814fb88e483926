// A conversation as the message of a request.
#ifndef KEDGE_CLI_CHAT_PROTO_H_
#define KEDGE_CLI_CHAT_PROTO_H_

#include "common/tokenizer/conversation.h"
#include "kedge/inference/v1/inference.pb.h"

namespace kedge {

// Sets the fields that the conversation has; the others stay unset. REQUIRES: template_arguments is a JSON object.
void FillMessages(const Conversation& conversation, inference::v1::ChatMessages* messages);

}  // namespace kedge

#endif  // KEDGE_CLI_CHAT_PROTO_H_
