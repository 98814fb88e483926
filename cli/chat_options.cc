// Tested by generate_options_test.cc.
#include "cli/chat_options.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "cli/chat_proto.h"
#include "cli/openai_json.h"
#include "cli/token_list.h"
#include "common/base/json_text.h"
#include "common/base/status.h"
#include "nlohmann/json.hpp"

namespace kedge {
namespace {

absl::Status OfFlag(absl::string_view flag, const absl::Status& status) {
  const bool names_place = absl::StartsWith(status.message(), "[");
  return absl::Status(status.code(), absl::StrCat(flag, names_place ? "" : ": ", status.message()));
}

// Lists and objects within each other. (ParseJson has bound them.)
int DepthOf(const nlohmann::ordered_json& json) {
  if (!json.is_structured()) return 0;  // (which would iterate over itself)
  int depth = 0;
  for (const auto& item : json) depth = std::max(depth, DepthOf(item));
  return 1 + depth;
}

}  // namespace

CLI::Option* AddToolsOption(CLI::App* command, ChatOptions* options) {
  return command
      ->add_option("--tools", options->tools_file,
                   "File with the tools that the model may call: a JSON list of functions as OpenAI's API has them")
      ->type_name("FILE");
}

CLI::Option* AddTemplateArgumentsOption(CLI::App* command, ChatOptions* options) {
  return command
      ->add_option("--template-arguments", options->template_arguments,
                   "Variables for the model's chat template, a JSON object: {\"enable_thinking\": false}")
      ->type_name("JSON");
}

absl::Status ReadChatOptions(ChatOptions* options) {
  Conversation& conversation = options->conversation;
  if (!options->messages_file.empty()) {
    const absl::StatusOr<std::string> text = ReadFileOrStdin(options->messages_file);
    if (!text.ok()) return OfFlag("--messages", text.status());
    absl::StatusOr<std::vector<ChatMessage>> messages = ParseMessages(*text);
    if (!messages.ok()) return OfFlag("--messages", messages.status());
    conversation.messages = *std::move(messages);
  }
  if (!options->tools_file.empty()) {
    const absl::StatusOr<std::string> text = ReadFileOrStdin(options->tools_file);
    if (!text.ok()) return OfFlag("--tools", text.status());
    absl::StatusOr<std::vector<Tool>> tools = ParseTools(*text);
    if (!tools.ok()) return OfFlag("--tools", tools.status());
    conversation.tools = *std::move(tools);
  }
  if (!options->template_arguments.empty()) {
    const absl::StatusOr<nlohmann::ordered_json> object = ParseJsonObject(options->template_arguments);
    if (!object.ok()) return OfFlag("--template-arguments", object.status());
    if (DepthOf(*object) > kMaxArgumentsDepth) {
      return absl::InvalidArgumentError(
          absl::StrCat("--template-arguments: is JSON of more than ", kMaxArgumentsDepth, " levels"));
    }
    conversation.template_arguments = options->template_arguments;
  }
  return absl::OkStatus();
}

std::string ChatFlagOf(const ChatOptions& options) {
  if (!options.messages_file.empty()) return "--messages";
  if (!options.tools_file.empty()) return "--tools";
  return options.template_arguments.empty() ? "" : "--template-arguments";
}

}  // namespace kedge
