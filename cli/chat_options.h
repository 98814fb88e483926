// The options of chats that `generate`, `run` and `chat` share.
#ifndef KEDGE_CLI_CHAT_OPTIONS_H_
#define KEDGE_CLI_CHAT_OPTIONS_H_

#include <string>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "common/tokenizer/conversation.h"

namespace kedge {

struct ChatOptions {
  std::string messages_file;  // of `generate` and `run`: in the place of a prompt
  std::string tools_file;
  std::string template_arguments;
  Conversation conversation;  // what they say, once ReadChatOptions has read it
};

CLI::Option* AddToolsOption(CLI::App* command, ChatOptions* options);
CLI::Option* AddTemplateArgumentsOption(CLI::App* command, ChatOptions* options);

// Reads the files and fills in `conversation`. kNotFound or kUnavailable: a file; kInvalidArgument begins with the flag.
absl::Status ReadChatOptions(ChatOptions* options);

// The first flag given that only a chat can have; empty if there is none.
std::string ChatFlagOf(const ChatOptions& options);

}  // namespace kedge

#endif  // KEDGE_CLI_CHAT_OPTIONS_H_
