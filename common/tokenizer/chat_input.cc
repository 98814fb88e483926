// Messages and tools have the form that transformers gives to templates, OpenAI's: what is not set is not there, so
// that `is defined` and `in` find what they would there.
//
// The usual roles count as the template's own text, since some templates write their marks with them ('<|' + role +
// '|>'): a client that names one of them gets the mark of that role and no other.
//
// Tested by chat_input_test.cc.
#include "common/tokenizer/chat_input.h"

#include <algorithm>
#include <cmath>
#include <iterator>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/base/json_text.h"
#include "common/base/status.h"
#include "common/base/utf8.h"
#include "common/tokenizer/encoder.h"

namespace kedge {
namespace {

using jinja::Value;
using Members = std::vector<std::pair<std::string, Value>>;
using Json = nlohmann::ordered_json;

constexpr absl::string_view kUsualRoles[] = {"system", "developer", "user", "assistant", "tool"};
constexpr absl::string_view kSetByConversation[] = {"messages", "tools", "documents", "add_generation_prompt",
                                                    "continue_final_message"};
constexpr size_t kLongestRole = 64;
// In all the JSON of a conversation together: each takes memory and time, in which nobody else's request is read.
constexpr size_t kMaxJsonValues = 100'000;

absl::Status Refused(absl::string_view path, absl::string_view field, absl::string_view fault) {
  return absl::InvalidArgumentError(absl::StrCat(path, Printable(field), ": ", fault));  // a field may have any name
}

bool IsUsualRole(absl::string_view role) {
  return std::find(std::begin(kUsualRoles), std::end(kUsualRoles), role) != std::end(kUsualRoles);
}

absl::Status CheckRole(absl::string_view role, absl::string_view path) {
  const bool is_name =
      !role.empty() && role.size() <= kLongestRole && std::all_of(role.begin(), role.end(), [](char c) {
        return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-';
      });
  if (is_name) return absl::OkStatus();
  return Refused(path, ".role",
                 "must be system, developer, user, assistant, tool or another name of at most 64 letters, digits, _ "
                 "and -");
}

// Reads fields of one message, tool or call; `path` says which.
class FieldReader {
 public:
  // `json_values`: how many there may still be.
  FieldReader(std::string path, jinja::Origin origin, size_t* json_values)
      : path_(std::move(path)), origin_(origin), json_values_(json_values) {}

  absl::StatusOr<Value> Text(absl::string_view field, const std::string& text, jinja::Origin origin) const {
    if (const std::optional<size_t> offset = FindInvalidUtf8(text)) {
      return Refused(path_, field, absl::StrCat("not valid UTF-8 at byte ", *offset));
    }
    return Value::Text(text, origin);
  }
  absl::StatusOr<Value> Text(absl::string_view field, const std::string& text) const {
    return Text(field, text, origin_);
  }
  absl::StatusOr<Value> Name(const std::string& name) const {
    if (name.empty()) return Refused(path_, ".name", "is empty");
    return Text(".name", name);
  }
  absl::StatusOr<Value> Object(absl::string_view field, const std::string& text) const {
    absl::StatusOr<Json> json = ParseJsonObject(text, json_values_);
    if (!json.ok()) return Refused(path_, field, json.status().message());
    absl::StatusOr<Value> value = Value::FromJson(*json, origin_);
    if (!value.ok()) return Refused(path_, field, value.status().message());
    return value;
  }
  Value Constant(absl::string_view text) const { return Value::Text(text, origin_); }
  Value Dict(Members members) const { return Value::Dict(std::move(members), origin_); }

 private:
  const std::string path_;
  const jinja::Origin origin_;
  size_t* const json_values_;
};

absl::StatusOr<Value> ReadTool(const Tool& tool, std::string path, size_t* json_values) {
  const FieldReader read(std::move(path), kToolsOrigin, json_values);
  Members function;
  KEDGE_ASSIGN_OR_RETURN(Value name, read.Name(tool.name));
  function.emplace_back("name", std::move(name));
  if (tool.description.has_value()) {
    KEDGE_ASSIGN_OR_RETURN(Value description, read.Text(".description", *tool.description));
    function.emplace_back("description", std::move(description));
  }
  if (tool.parameters.has_value()) {
    KEDGE_ASSIGN_OR_RETURN(Value parameters, read.Object(".parameters", *tool.parameters));
    function.emplace_back("parameters", std::move(parameters));
  }
  return read.Dict({{"type", read.Constant("function")}, {"function", read.Dict(std::move(function))}});
}

absl::StatusOr<Value> ReadCall(const ToolCall& call, ArgumentsForm form, std::string path, jinja::Origin origin,
                               size_t* json_values) {
  const FieldReader read(std::move(path), origin, json_values);
  Members members;
  if (!call.id.empty()) {
    KEDGE_ASSIGN_OR_RETURN(Value id, read.Text(".id", call.id));
    members.emplace_back("id", std::move(id));
  }
  KEDGE_ASSIGN_OR_RETURN(Value name, read.Name(call.name));
  const std::string text = call.arguments.empty() ? "{}" : call.arguments;
  KEDGE_ASSIGN_OR_RETURN(Value arguments, read.Object(".arguments", text));
  if (form == ArgumentsForm::kText) arguments = read.Constant(text);
  members.emplace_back("type", read.Constant("function"));
  members.emplace_back("function", read.Dict({{"name", std::move(name)}, {"arguments", std::move(arguments)}}));
  return read.Dict(std::move(members));
}

absl::StatusOr<Value> ReadMessage(const ChatMessage& message, size_t index, ArgumentsForm form, size_t* json_values) {
  const std::string path = absl::StrCat("messages.messages[", index, "]");
  const FieldReader read(path, FieldsOrigin(index), json_values);
  KEDGE_RETURN_IF_ERROR(CheckRole(message.role, path));
  Members members;
  members.emplace_back("role", Value::Text(message.role, IsUsualRole(message.role) ? jinja::kTemplate : kClientOrigin));
  if (message.content.has_value() || message.tool_calls.empty()) {
    KEDGE_ASSIGN_OR_RETURN(Value content, read.Text(".content", message.content.value_or(""), ContentOrigin(index)));
    members.emplace_back("content", std::move(content));
  } else {
    members.emplace_back("content", Value::None());  // as clients of OpenAI's API send it
  }
  const auto add = [&](const char* key, const std::optional<std::string>& text) -> absl::Status {
    if (!text.has_value()) return absl::OkStatus();
    KEDGE_ASSIGN_OR_RETURN(Value value, read.Text(absl::StrCat(".", key), *text));
    members.emplace_back(key, std::move(value));
    return absl::OkStatus();
  };
  KEDGE_RETURN_IF_ERROR(add("reasoning_content", message.reasoning_content));
  KEDGE_RETURN_IF_ERROR(add("name", message.name));
  KEDGE_RETURN_IF_ERROR(add("tool_call_id", message.tool_call_id));
  std::vector<Value> calls;
  for (size_t i = 0; i < message.tool_calls.size(); ++i) {
    KEDGE_ASSIGN_OR_RETURN(Value call, ReadCall(message.tool_calls[i], form, absl::StrCat(path, ".tool_calls[", i, "]"),
                                                FieldsOrigin(index), json_values));
    calls.push_back(std::move(call));
  }
  if (!calls.empty()) members.emplace_back("tool_calls", Value::List(std::move(calls), FieldsOrigin(index)));
  return Value::Dict(std::move(members), FieldsOrigin(index));
}

absl::Status CheckFinalMessage(const Conversation& conversation) {
  if (!conversation.continue_final_message) return absl::OkStatus();
  if (conversation.add_generation_prompt) {
    return Refused("messages", ".continue_final_message", "excludes add_generation_prompt");
  }
  const ChatMessage& last = conversation.messages.back();
  const std::string path = absl::StrCat("messages.messages[", conversation.messages.size() - 1, "]");
  if (last.role != "assistant") return Refused(path, ".role", "must be assistant, since continue_final_message is set");
  if (last.content.value_or("").empty()) {
    return Refused(path, ".content", "is empty; continue_final_message goes on with a text that has begun");
  }
  return absl::OkStatus();
}

size_t BytesOf(const Conversation& conversation) {
  size_t bytes = 0;
  const auto add = [&](const std::optional<std::string>& text) { bytes += text.has_value() ? text->size() : 0; };
  for (const ChatMessage& message : conversation.messages) {
    bytes += message.role.size();
    add(message.content);
    add(message.tool_call_id);
    add(message.name);
    add(message.reasoning_content);
    for (const ToolCall& call : message.tool_calls) bytes += call.id.size() + call.name.size() + call.arguments.size();
  }
  for (const Tool& tool : conversation.tools) {
    bytes += tool.name.size();
    add(tool.description);
    add(tool.parameters);
  }
  bytes += conversation.template_arguments.size();
  return bytes;
}

}  // namespace

jinja::Value WithoutCalls(const jinja::Value& message, absl::string_view content, size_t index) {
  Members members;
  for (const auto& [key, value] : message.members().values) {
    const std::string name(key.text().bytes());
    if (name == "tool_calls") continue;
    members.emplace_back(name, name == "content" ? Value::Text(content, ContentOrigin(index)) : value);
  }
  return Value::Dict(std::move(members), FieldsOrigin(index));
}

absl::StatusOr<ChatInput> MakeChatInput(const Conversation& conversation, ArgumentsForm form,
                                        absl::Span<const std::string> reserved) {
  if (conversation.messages.empty()) return absl::InvalidArgumentError("messages.messages: there are none");
  if (const size_t bytes = BytesOf(conversation); bytes > Encoder::kMaxTextBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("messages: have ", bytes, " bytes; at most ", Encoder::kMaxTextBytes, " can be encoded"));
  }
  ChatInput input;
  size_t json_values = kMaxJsonValues;
  for (size_t i = 0; i < conversation.messages.size(); ++i) {
    KEDGE_ASSIGN_OR_RETURN(Value message, ReadMessage(conversation.messages[i], i, form, &json_values));
    input.messages.push_back(std::move(message));
  }
  KEDGE_RETURN_IF_ERROR(CheckFinalMessage(conversation));
  std::vector<Value> tools;
  for (size_t i = 0; i < conversation.tools.size(); ++i) {
    KEDGE_ASSIGN_OR_RETURN(Value tool,
                           ReadTool(conversation.tools[i], absl::StrCat("messages.tools[", i, "]"), &json_values));
    tools.push_back(std::move(tool));
  }
  input.tools = tools.empty() ? Value::None() : Value::List(std::move(tools), kToolsOrigin);
  if (conversation.template_arguments.empty()) return input;
  const absl::StatusOr<Json> arguments = ParseJsonObject(conversation.template_arguments, &json_values);
  if (!arguments.ok()) return Refused("messages.", "template_arguments", arguments.status().message());
  for (const auto& [name, value] : arguments->items()) {
    if (std::find(std::begin(kSetByConversation), std::end(kSetByConversation), name) != std::end(kSetByConversation) ||
        std::find(reserved.begin(), reserved.end(), name) != reserved.end()) {
      return Refused("messages.template_arguments.", name, "is set by the server");
    }
    absl::StatusOr<Value> argument = Value::FromJson(value, kClientOrigin);
    if (!argument.ok()) return Refused("messages.template_arguments.", name, argument.status().message());
    input.arguments.emplace_back(name, *std::move(argument));
  }
  return input;
}

}  // namespace kedge
