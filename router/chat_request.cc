// Tested by request_parser_chat_test.cc.
#include "router/chat_request.h"

#include <cmath>
#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/base/utf8.h"
#include "nlohmann/json.hpp"

namespace kedge {
namespace {

namespace v1 = ::kedge::inference::v1;
using Json = nlohmann::ordered_json;

// Of all of them together: each takes memory and time, however little it says, and tokens of the context as well.
constexpr int64_t kMaxParts = 16'384;

constexpr double kLargestWholeNumber = 9007199254740992;  // 2^53: above it not every integer is a double

// Of structs and lists within each other. (The proto says why.)
constexpr int kMaxLevels = 32;

// `level`: of what holds the value.
absl::StatusOr<Json> ToJson(const google::protobuf::Value& value, const std::string& path, int level);

absl::Status CheckLevel(const std::string& path, int level) {
  if (level <= kMaxLevels) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(path, ": is nested deeper than ", kMaxLevels, " levels"));
}

// Members of a Struct have no order; by name they have the same one each time.
absl::StatusOr<Json> ToJson(const google::protobuf::Struct& fields, const std::string& path, int level) {
  KEDGE_RETURN_IF_ERROR(CheckLevel(path, level));
  const std::map<std::string, google::protobuf::Value> sorted(fields.fields().begin(), fields.fields().end());
  Json object = Json::object();
  for (const auto& [name, value] : sorted) {
    KEDGE_ASSIGN_OR_RETURN(object[name], ToJson(value, absl::StrCat(path, ".", Printable(name)), level));
  }
  return object;
}

absl::StatusOr<Json> ToJson(const google::protobuf::Value& value, const std::string& path, int level) {
  switch (value.kind_case()) {
    case google::protobuf::Value::kBoolValue:
      return Json(value.bool_value());
    case google::protobuf::Value::kStringValue:
      return Json(value.string_value());
    case google::protobuf::Value::kNumberValue: {
      const double number = value.number_value();
      if (!std::isfinite(number)) return absl::InvalidArgumentError(absl::StrCat(path, ": is not a finite number"));
      if (std::trunc(number) != number || std::abs(number) > kLargestWholeNumber) return Json(number);
      return Json(static_cast<int64_t>(number));
    }
    case google::protobuf::Value::kStructValue:
      return ToJson(value.struct_value(), path, level + 1);
    case google::protobuf::Value::kListValue: {
      KEDGE_RETURN_IF_ERROR(CheckLevel(path, level + 1));
      Json list = Json::array();
      for (int i = 0; i < value.list_value().values_size(); ++i) {
        KEDGE_ASSIGN_OR_RETURN(Json item,
                               ToJson(value.list_value().values(i), absl::StrCat(path, "[", i, "]"), level + 1));
        list.push_back(std::move(item));
      }
      return list;
    }
    case google::protobuf::Value::kNullValue:
      return Json(nullptr);
    case google::protobuf::Value::KIND_NOT_SET:
      break;
  }
  return absl::InvalidArgumentError(
      absl::StrCat(path, ": has no value; must be null, a bool, a number, a string, a list or a struct"));
}

absl::Status CheckParts(const v1::ChatMessages& messages) {
  int64_t calls = 0;
  for (const v1::ChatMessage& message : messages.messages()) calls += message.tool_calls_size();
  if (messages.messages_size() + calls + messages.tools_size() <= kMaxParts) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("messages: has ", messages.messages_size(), " messages, ", calls,
                                                 " calls and ", messages.tools_size(), " tools; at most ", kMaxParts,
                                                 " are allowed together"));
}

ChatMessage ToMessage(const v1::ChatMessage& proto) {
  ChatMessage message{.role = proto.role()};
  if (proto.has_content()) message.content = proto.content();
  if (proto.has_tool_call_id()) message.tool_call_id = proto.tool_call_id();
  if (proto.has_name()) message.name = proto.name();
  if (proto.has_reasoning_content()) message.reasoning_content = proto.reasoning_content();
  for (const v1::ToolCall& call : proto.tool_calls()) {
    message.tool_calls.push_back({.id = call.id(), .name = call.name(), .arguments = call.arguments()});
  }
  return message;
}

}  // namespace

absl::StatusOr<Conversation> ToConversation(const v1::ChatMessages& messages, absl::Time now) {
  KEDGE_RETURN_IF_ERROR(CheckParts(messages));
  Conversation conversation{.continue_final_message = messages.continue_final_message(), .now = now};
  for (const v1::ChatMessage& message : messages.messages()) conversation.messages.push_back(ToMessage(message));
  for (const v1::Tool& proto : messages.tools()) {
    Tool& tool = conversation.tools.emplace_back(Tool{.name = proto.name()});
    if (proto.has_description()) tool.description = proto.description();
    if (proto.has_parameters()) tool.parameters = proto.parameters();
  }
  if (messages.has_template_arguments()) {
    KEDGE_ASSIGN_OR_RETURN(const Json arguments,
                           ToJson(messages.template_arguments(), "messages.template_arguments", /*level=*/1));
    conversation.template_arguments = arguments.dump(-1, ' ', false, Json::error_handler_t::replace);
  }
  conversation.add_generation_prompt =
      messages.has_add_generation_prompt() ? messages.add_generation_prompt() : !messages.continue_final_message();
  return conversation;
}

}  // namespace kedge
