// A conversation as the message of a request.
#ifndef KEDGE_CLI_CHAT_PROTO_H_
#define KEDGE_CLI_CHAT_PROTO_H_

#include "common/tokenizer/conversation.h"
#include "kedge/inference/v1/inference.pb.h"

namespace kedge {

// Levels of JSON that template_arguments may have: a level is up to three messages within each other, of which
// protobuf reads 100.
inline constexpr int kMaxArgumentsDepth = 32;

// Sets the fields that the conversation has; the others stay unset. REQUIRES: template_arguments is a JSON object of
// at most kMaxArgumentsDepth levels.
void FillMessages(const Conversation& conversation, inference::v1::ChatMessages* messages);

}  // namespace kedge

#endif  // KEDGE_CLI_CHAT_PROTO_H_
